import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeTurn } from '../../testing/contracts/memory-store-contract.js';
import { InMemoryStore } from '../../testing/in-memory-store.js';
import type { ForgetTarget, MemoryStore } from '../memory-store.js';
import { EmbeddedMemoryStore } from './embedded-memory-store.js';

const conversations = ['a', 'b'].map((sessionId) => ({ tenant: 'tenant', sessionId }));
const inOne = fc.constantFrom(...conversations);

/** The operations on a store; a turn's number is its time. */
const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('append' as const), of: inOne }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('keep' as const),
      of: inOne,
      turns: fc.integer({ min: 1, max: 9 }),
      /** The number of the turn that it names as the last, counted from the first that is left. */
      last: fc.integer({ min: 0, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget' as const), of: inOne }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('before' as const), at: fc.integer({ min: 0, max: 30 }) }),
  },
);

describe('The summaries of an EmbeddedMemoryStore', () => {
  it('equal those of a plain list of turns after any sequence of append, keep and forget', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const plain = new InMemoryStore();
        await using store = new EmbeddedMemoryStore({ path: ':memory:' });
        const both = async <T>(work: (store: MemoryStore) => Promise<T>): Promise<T> => {
          const [expected, found] = await Promise.all([work(plain), work(store)]);
          expect(found).toEqual(expected);
          return found;
        };
        for (const [time, each] of actions.entries()) {
          if (each.type === 'append') {
            const turn = makeTurn({ ...each.of, id: `${time}`, createdAt: time });
            await both((either) => either.append(turn));
          } else if (each.type === 'keep') {
            const turns = await plain.recent(each.of, { limit: 99 });
            const last = turns[each.last]?.id ?? 'none';
            const summary = { text: `${time}`, turns: each.turns, lastTurn: last, until: time };
            await both(async (either) => either.summaries?.keep(each.of, summary));
          } else {
            const target: ForgetTarget = each.type === 'forget' ? each.of : { before: new Date(each.at) };
            await both((either) => either.forget(target));
          }
          for (const of of conversations) {
            await both(async (either) => either.summaries?.read(of));
            await both(async (either) => either.summaries?.turnsAfterSummary(of, { limit: 5 }));
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
