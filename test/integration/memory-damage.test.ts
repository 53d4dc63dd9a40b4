import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { EmbeddedMemoryStore } from '../../src/memory/embedded/embedded-memory-store.js';
import { nameKey } from '../../src/memory/shared/conversation-key.js';
import { makeTurn } from '../../src/testing/contracts/memory-store-contract.js';

const sessions = ['a', 'b', 'c'];
const turnsEach = 20;
const files = ['memory.db', 'memory.db-wal'] as const;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'memory-damage-'));
  for (const kind of ['closed', 'killed']) mkdirSync(join(directory, kind));
  const path = join(directory, 'closed', files[0]);
  let store = new EmbeddedMemoryStore({ path });
  for (let n = 0; n < turnsEach; n++) {
    if (n === turnsEach / 2) {
      await store.close();
      store = new EmbeddedMemoryStore({ path });
    }
    for (const sessionId of sessions) {
      await store.append(
        makeTurn({ sessionId, id: `${n}`, prompt: `${sessionId} ${n} ${'word '.repeat(150)}` }),
      );
    }
  }
  // As a killed process leaves them: half of the turns are in the log.
  for (const name of files) copyFileSync(join(directory, 'closed', name), join(directory, 'killed', name));
  await store.close();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const damage = fc.record({
  at: fc.double({ min: 0, max: 0.999_999, noNaN: true }),
  change: fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), bit: fc.integer({ min: 0, max: 7 }) }),
    fc.record({
      kind: fc.constant('fill' as const),
      value: fc.constantFrom(0, 0xab, 0xff),
      bytes: fc.integer({ min: 1, max: 5_000 }),
    }),
    fc.record({ kind: fc.constant('cut' as const) }),
  ),
});

function apply(
  bytes: Buffer,
  { at, change }: typeof damage extends fc.Arbitrary<infer T> ? T : never,
): Buffer {
  const from = Math.floor(at * bytes.length);
  // A log that is missing as a whole, or ends after a write, leaves no trace.
  if (change.kind === 'cut') return bytes.subarray(0, from - (from % 4_120) + 1_000);
  if (change.kind === 'flip') bytes[from] = (bytes[from] ?? 0) ^ (1 << change.bit);
  else bytes.fill(change.value, from, Math.min(bytes.length, from + change.bytes));
  return bytes;
}

/** What is neither found nor reported. */
async function lostInSilence(path: string, reports: () => number): Promise<string[]> {
  const lost: string[] = [];
  const store = new EmbeddedMemoryStore({ path });
  for (const sessionId of sessions) {
    const of = { tenant: 'tenant', sessionId };
    try {
      const found = await store.recent(of, { limit: 1_000 });
      await store.recall(of, 'word', { limit: 5 });
      if (found.length !== turnsEach && reports() === 0) lost.push(`${sessionId}: ${found.length}`);
    } catch (error) {
      expect(error).toMatchObject({ name: 'MemoryError' });
    }
  }
  await store.append(makeTurn({ sessionId: 'new' })).catch((error) => {
    expect(error).toMatchObject({ name: 'MemoryError' });
  });
  await store.close().catch(() => undefined);
  return lost;
}

describe.each([
  ['closed', files[0]],
  ['killed', files[0]],
  ['killed', files[1]],
] as const)('Of a memory that was %s, with a damaged %s,', (kind, name) => {
  it('no turn is lost in silence, and the process goes on', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(damage, async (given) => {
        warn.mockClear();
        const folder = join(directory, `${kind}-${name}-${run++}`);
        mkdirSync(folder);
        for (const file of files.slice(0, kind === 'killed' ? 2 : 1)) {
          const bytes = readFileSync(join(directory, kind, file));
          writeFileSync(join(folder, file), file === name ? apply(bytes, given) : bytes);
        }
        expect(await lostInSilence(join(folder, files[0]), () => warn.mock.calls.length)).toEqual([]);
        await rm(folder, { recursive: true });
      }),
      { numRuns: Number(process.env.DAMAGED_FILES ?? 40), endOnFailure: true },
    );
    warn.mockRestore();
  });
});

it('A conversation is never missed or taken for another one, whichever copy of its name is damaged', async () => {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const original = readFileSync(join(directory, 'closed', files[0]));
  const name = nameKey('b');
  const places: number[] = [];
  for (let at = original.indexOf(name); at >= 0; at = original.indexOf(name, at + 1)) places.push(at);
  expect(places.length).toBeGreaterThan(2);
  for (const place of places) {
    const path = join(directory, `name-${place}.db`);
    const bytes = Buffer.from(original);
    bytes[place] = (bytes[place] ?? 0) ^ 0x80;
    writeFileSync(path, bytes);
    const store = new EmbeddedMemoryStore({ path });
    const ofB = { tenant: 'tenant', sessionId: 'b' };
    await expect(store.recent(ofB, { limit: 9 })).rejects.toMatchObject({ name: 'MemoryError' });
    await expect(store.append(makeTurn(ofB))).rejects.toMatchObject({ name: 'MemoryError' });
    expect(await store.recent({ ...ofB, sessionId: 'a' }, { limit: 9 })).toHaveLength(9);
    await store.close();
  }
});
