import assert from 'node:assert/strict';
import type { ContractCase } from '../contract-case.js';
import { hostileNames } from '../hostile-names.js';
import { conversation, makeTurn, type WithStore } from './fixture.js';

/** Nothing is read across conversations and tenants. */
export const isolationCases = (withStore: WithStore): readonly ContractCase[] => [
  withStore('keeps hostile names of sessions and tenants apart', async (store) => {
    const names = hostileNames();
    const everyName = (check: (name: string, at: number) => Promise<void>) => Promise.all(names.map(check));
    await everyName(async (name, at) => {
      await store.append(makeTurn({ sessionId: name, prompt: `secret word${at}` }));
      await store.append(makeTurn({ tenant: name, prompt: `secret tenant${at}` }));
    });
    await everyName(async (name, at) => {
      const bySession = await store.recall({ ...conversation, sessionId: name }, 'secret', { limit: 9 });
      const byTenant = await store.recall({ ...conversation, tenant: name }, 'secret', { limit: 9 });
      assert.deepEqual(
        bySession.map(({ turn }) => turn.prompt),
        [`secret word${at}`],
      );
      assert.deepEqual(
        byTenant.map(({ turn }) => turn.prompt),
        [`secret tenant${at}`],
      );
      const recent = await store.recent({ ...conversation, sessionId: name }, { limit: 9 });
      assert.deepEqual(
        recent.map((turn) => turn.sessionId),
        [name],
      );
    });
  }),

  withStore('keeps one session name in two tenants apart', async (store) => {
    await store.append(makeTurn({ tenant: 'a', prompt: 'owl' }));
    await store.append(makeTurn({ tenant: 'b', prompt: 'owl too' }));
    const found = await store.recall({ ...conversation, tenant: 'b' }, 'owl', { limit: 9 });
    assert.deepEqual(
      found.map(({ turn }) => turn.prompt),
      ['owl too'],
    );
    // The boundary between the two names carries meaning.
    await store.append(makeTurn({ tenant: 'x', sessionId: 'yz' }));
    assert.deepEqual(await store.recent({ tenant: 'xy', sessionId: 'z' }, { limit: 9 }), []);
  }),
];
