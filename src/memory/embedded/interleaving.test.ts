import { copyFileSync, existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { WordEmbedder } from '../../../test/support/word-embedder.js';
import type { Turn } from '../../core/turn.js';
import { makeTurn } from '../../testing/contracts/memory-store-contract.js';
import { EmbeddedMemoryStore } from './embedded-memory-store.js';

const name = fc.constantFrom('a', 'b', 'a\0');
const day = fc.integer({ min: 1, max: 5 });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      tenant: name,
      sessionId: name,
      id: fc.nat(9),
      day,
    }),
  },
  {
    // Two of them fill a block of terms.
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('append many' as const),
      tenant: name,
      sessionId: name,
      set: fc.nat(4),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('recall' as const), tenant: name, sessionId: name }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('forget session' as const), tenant: name, sessionId: name }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget tenant' as const), tenant: name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget before' as const), day }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reindex' as const), stopAfter: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('crash' as const), model: fc.constantFrom('one', 'two') }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('reopen' as const), model: fc.constantFrom('one', 'two') }),
  },
);

const date = (ofDay: number) => Date.UTC(2026, 0, ofDay);

it('EmbeddedMemoryStore keeps its contract through any interleaving of calls and restarts', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-interleaving-'));
  let run = 0;
  const check = async (steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]) => {
    let path = join(directory, `${run++}.db`);
    const open = (model: string) => new EmbeddedMemoryStore({ path, embedder: new WordEmbedder({ model }) });
    let store = open('one');
    let model: Turn[] = [];
    const of = (where: { tenant: string; sessionId: string }) =>
      model.filter((turn) => turn.tenant === where.tenant && turn.sessionId === where.sessionId);
    const forget = async (target: Parameters<typeof store.forget>[0], gone: (turn: Turn) => boolean) => {
      expect(await store.forget(target)).toBe(model.filter(gone).length);
      model = model.filter((turn) => !gone(turn));
    };
    const append = async (where: { tenant: string; sessionId: string }, id: string, ofDay: number) => {
      const turn = makeTurn({ ...where, id, createdAt: date(ofDay), prompt: `heron ${id}`, reply: '' });
      if (!of(where).some((known) => known.id === id)) model.push(turn);
      await store.append(turn);
    };
    for (const each of steps) {
      if (each.do === 'append') {
        await append(each, String(each.id), each.day);
      } else if (each.do === 'append many') {
        const ids = Array.from({ length: 40 }, (_, at) => `${each.set} ${at}`);
        await Promise.all(ids.map((id, at) => append(each, id, 1 + (at % 5))));
      } else if (each.do === 'recall') {
        const found = await store.recall(each, 'heron', { limit: 999 });
        expect(found.map(({ turn }) => turn.id).sort()).toEqual(
          of(each)
            .map(({ id }) => id)
            .sort(),
        );
        expect(await store.recent(each, { limit: 999 })).toEqual(of(each));
      } else if (each.do === 'forget session') {
        const gone = new Set(of(each));
        await forget({ tenant: each.tenant, sessionId: each.sessionId }, (turn) => gone.has(turn));
      } else if (each.do === 'forget tenant') {
        await forget({ tenant: each.tenant }, ({ tenant }) => tenant === each.tenant);
      } else if (each.do === 'forget before') {
        await forget({ before: new Date(date(each.day)) }, ({ createdAt }) => createdAt < date(each.day));
      } else if (each.do === 'flush') {
        await store.flush();
        expect(await store.stats()).toMatchObject({ pending: 0, turns: model.length });
      } else if (each.do === 'reindex') {
        const stop = new AbortController();
        let reports = 0;
        const onProgress = ({ done, total }: { done: number; total: number }) => {
          expect(total).toBe(model.length);
          expect(done).toBeLessThanOrEqual(total);
          if (reports++ === each.stopAfter) stop.abort('stopped');
        };
        const ended = await store
          .reindex({ signal: stop.signal, onProgress })
          .catch((error: unknown) => error);
        if (ended === undefined) expect(await store.stats()).toMatchObject({ pending: 0 });
        else expect(ended).toBe('stopped');
      } else if (each.do === 'crash') {
        // The next process finds what is on disk at this moment, without any clean-up.
        const copy = join(directory, `${run++}.db`);
        for (const suffix of ['', '-wal']) {
          if (existsSync(path + suffix)) copyFileSync(path + suffix, copy + suffix);
        }
        await store.close();
        path = copy;
        store = open(each.model);
      } else {
        await store.close();
        store = open(each.model);
      }
    }
    await store.close();
  };
  try {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30 }), check), { numRuns: 40 });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}, 120_000);
