import assert from 'node:assert/strict';
import type { MemoryStore } from '../../memory/memory-store.js';
import type { ContractCase } from './contract-case.js';
import { callingCases } from './memory-store/calling-cases.js';
import { findingCases } from './memory-store/finding-cases.js';
import { conversation, idsOf, makeTurn, type WithStore } from './memory-store/fixture.js';
import { forgettingCases } from './memory-store/forgetting-cases.js';
import { isolationCases } from './memory-store/isolation-cases.js';
import { keepingCases } from './memory-store/keeping-cases.js';
import { listingCases } from './memory-store/listing-cases.js';
import { summaryCases } from './memory-store/summary-cases.js';

export { makeTurn } from './memory-store/fixture.js';

export interface MemoryStoreContractOptions {
  /** Opens what `store` had written once more, as after a restart. Adds the cases that need it. */
  readonly reopen?: ((store: MemoryStore) => Promise<MemoryStore>) | undefined;
}

/**
 * What every `MemoryStore` owes. `create` gives a store over empty storage; each case closes its own.
 *
 * @example
 * ```ts
 * for (const { name, run } of memoryStoreContract(async () => new MyStore())) it(name, run);
 * ```
 */
export function memoryStoreContract(
  create: () => Promise<MemoryStore>,
  { reopen }: MemoryStoreContractOptions = {},
): readonly ContractCase[] {
  const withStore: WithStore = (name, check) => ({
    name,
    async run() {
      const store = await create();
      try {
        await check(store);
      } finally {
        await store.close();
      }
    },
  });

  return [
    ...keepingCases(withStore),
    ...findingCases(withStore),
    ...isolationCases(withStore),
    ...forgettingCases(withStore),
    ...callingCases(withStore),
    ...listingCases(withStore),
    ...summaryCases(withStore, reopen),
    ...(reopen
      ? [
          withStore('has every turn after a restart', async (store) => {
            const turns = Array.from({ length: 5 }, (_, n) => makeTurn({ prompt: `walrus number${n}` }));
            for (const turn of turns) await store.append(turn);
            await store.close();
            const again = await reopen(store);
            try {
              assert.deepEqual(await again.recent(conversation, { limit: 9 }), turns);
              const [found] = await again.recall(conversation, 'number3', { limit: 1 });
              assert.equal(found?.turn.id, turns[3]?.id);
              const next = makeTurn();
              await again.append(next);
              assert.deepEqual(
                idsOf(await again.recent(conversation, { limit: 9 })),
                idsOf([...turns, next]),
              );
            } finally {
              await again.close();
            }
          }),
          withStore('notices what another store over the same storage writes and forgets', async (store) => {
            const other = await reopen(store);
            try {
              await store.append(makeTurn({ prompt: 'first badger' }));
              await store.recall(conversation, 'badger', { limit: 9 });
              await other.append(makeTurn({ prompt: 'second badger' }));
              assert.equal((await store.recall(conversation, 'badger', { limit: 9 })).length, 2);
              await other.forget(conversation);
              assert.deepEqual(await store.recall(conversation, 'badger', { limit: 9 }), []);
              assert.deepEqual(await store.recent(conversation, { limit: 9 }), []);
            } finally {
              await other.close();
            }
          }),
        ]
      : []),
  ];
}
