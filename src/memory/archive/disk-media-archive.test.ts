import { mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryError } from '../../core/errors.js';
import type { PreparedMedia } from '../../core/media.js';
import { mediaArchiveContract } from '../../testing/contracts/media-archive-contract.js';
import type { MediaArchive } from '../media-archive.js';
import { DiskMediaArchive } from './disk-media-archive.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'archive-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const mediaOf = (name: string, bytes = 100, change: Partial<PreparedMedia> = {}): PreparedMedia => ({
  kind: 'video',
  name: `${name}.mp4`,
  fingerprint: name,
  estimatedTokens: 560,
  source: { mimeType: 'video/mp4', bytes: 9, durationMs: 1000 },
  parts: [
    { mimeType: 'image/jpeg', data: Buffer.alloc(bytes, name), timestampMs: 500, detail: 'medium' },
    { mimeType: 'audio/mpeg', data: Buffer.from('sound') },
  ],
  ...change,
});

const here = { tenant: 't', sessionId: 's' };
const idsOf = async (archive: MediaArchive, conversation = here) =>
  (await archive.list(conversation)).map(({ fingerprint }) => fingerprint);
describe('DiskMediaArchive', () => {
  const create = async (options: { maxBytes?: number | undefined }) =>
    new DiskMediaArchive({ directory, ...options });
  for (const { name, run } of mediaArchiveContract(create)) it(name, run);

  const files = async () =>
    (await readdir(directory, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));

  it('reads what another instance has kept, in files that only their owner can read', async () => {
    await new DiskMediaArchive({ directory }).keep(here, mediaOf('clip'), 1000);
    expect(await idsOf(new DiskMediaArchive({ directory }))).toEqual(['clip']);
    const [file = ''] = await files();
    expect((await stat(file)).mode & 0o077).toBe(0);
  });

  it('treats a damaged file as missing', async () => {
    const archive = new DiskMediaArchive({ directory });
    await archive.keep(here, mediaOf('clip'), 1000);
    const [file = ''] = await files();
    const whole = await readFile(file);
    const [item] = await archive.list(here);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, byte) => {
        const damaged = Buffer.from(whole);
        damaged[at] = byte;
        await writeFile(file, damaged);
        const isDamaged = whole[at] !== byte;
        await archive.list(here);
        expect((await archive.load(here, item?.id ?? '')) === undefined).toBe(isDamaged);
        await truncate(file, at);
        expect(await archive.list(here)).toEqual([]);
        expect(await archive.load(here, item?.id ?? '')).toBeUndefined();
      }),
      { numRuns: 60 },
    );
  });

  it('removes what a killed process left unfinished, once it is old', async () => {
    const archive = new DiskMediaArchive({ directory });
    await archive.keep(here, mediaOf('clip'), 1000);
    const [file = ''] = await files();
    const [stale, fresh] = [`${file}.a.part`, `${file}.b.part`];
    await writeFile(stale, 'half');
    await writeFile(fresh, 'half');
    await utimes(stale, 1, 1);
    await archive.stats();
    expect((await files()).sort()).toEqual([file, fresh].sort());
  });

  it('leaves nothing of a forgotten attachment on disk', async () => {
    const archive = new DiskMediaArchive({ directory });
    await archive.keep(here, mediaOf('secret-plan'), 1000);
    await archive.forget(here);
    expect(await files()).toEqual([]);
  });

  it('explains what to do if its directory cannot be used', async () => {
    await writeFile(join(directory, 'file'), '');
    const archive = new DiskMediaArchive({ directory: join(directory, 'file') });
    const error = await archive.keep(here, mediaOf('clip'), 1000).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(MemoryError);
    expect((error as Error).message).toMatch(/could not be kept \(ENOTDIR\)\. Check that its directory/);
  });
});
