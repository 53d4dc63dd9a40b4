import assert from 'node:assert/strict';
import type { Turn } from '../../../core/turn.js';
import type { ContractCase } from '../contract-case.js';
import { conversation, makeTurn, type WithStore } from './fixture.js';

/** What is forgotten is gone, and nothing else. */
export const forgettingCases = (withStore: WithStore): readonly ContractCase[] => [
  withStore('forgets a conversation and nothing else', async (store) => {
    for (let n = 0; n < 3; n++) await store.append(makeTurn({ prompt: `heron ${n}` }));
    const other = makeTurn({ sessionId: 'session2', prompt: 'heron elsewhere' });
    await store.append(other);
    assert.equal(await store.forget(conversation), 3);
    assert.deepEqual(await store.recent(conversation, { limit: 9 }), []);
    assert.deepEqual(await store.recall(conversation, 'heron', { limit: 9 }), []);
    assert.deepEqual(await store.recent(other, { limit: 9 }), [other]);
    assert.equal(await store.forget(conversation), 0);
  }),

  withStore('starts a forgotten conversation from scratch', async (store) => {
    const turn = makeTurn({ prompt: 'heron' });
    await store.append(turn);
    await store.recall(conversation, 'heron', { limit: 1 });
    await store.forget(conversation);
    await store.append({ ...turn, prompt: 'stork' });
    assert.deepEqual(
      (await store.recent(conversation, { limit: 9 })).map(({ prompt }) => prompt),
      ['stork'],
    );
    assert.deepEqual(await store.recall(conversation, 'heron', { limit: 9 }), []);
  }),

  withStore('forgets all of a tenant and nothing else', async (store) => {
    await store.append(makeTurn({ tenant: 'gone', sessionId: 'one' }));
    await store.append(makeTurn({ tenant: 'gone', sessionId: 'two' }));
    const kept = makeTurn({ tenant: 'gone ', sessionId: 'one' });
    await store.append(kept);
    assert.equal(await store.forget({ tenant: 'gone' }), 2);
    assert.deepEqual(await store.recent({ tenant: 'gone', sessionId: 'one' }, { limit: 9 }), []);
    assert.deepEqual(await store.recent(kept, { limit: 9 }), [kept]);
  }),

  withStore('forgets what is older than a date, in every conversation', async (store) => {
    const at = (day: number, fields: Partial<Turn>) =>
      makeTurn({ createdAt: Date.UTC(2026, 0, day), ...fields });
    await store.append(at(1, { prompt: 'old newt' }));
    await store.append(at(10, { prompt: 'new newt' }));
    await store.append(at(2, { sessionId: 'other', prompt: 'other newt' }));
    await store.recall(conversation, 'newt', { limit: 9 });
    assert.equal(await store.forget({ before: new Date(Date.UTC(2026, 0, 10)) }), 2);
    const found = await store.recall(conversation, 'newt', { limit: 9 });
    assert.deepEqual(
      found.map(({ turn }) => turn.prompt),
      ['new newt'],
    );
    assert.deepEqual(await store.recent({ ...conversation, sessionId: 'other' }, { limit: 9 }), []);
    await store.append(at(11, { prompt: 'next newt' }));
    const kept = await store.recent(conversation, { limit: 9 });
    assert.deepEqual(
      kept.map(({ prompt }) => prompt),
      ['new newt', 'next newt'],
    );
  }),
];
