import assert from 'node:assert/strict';
import type { Turn } from '../../../core/turn.js';
import type { ForgetTarget } from '../../../memory/memory-store.js';
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

  ...(
    [
      ['the old turns of a tenant', { tenant: 'tenant', before: new Date(10) }, ['old', 'other old']],
      ['the old turns of a conversation', { ...conversation, before: new Date(10) }, ['old']],
      ['one turn', { ...conversation, turnId: 'new' }, ['new']],
      ['no turn for an id of another conversation', { ...conversation, turnId: 'other new' }, []],
    ] satisfies readonly [string, ForgetTarget, readonly string[]][]
  ).map(([what, target, gone]) =>
    withStore(`forgets ${what} and nothing else`, async (store) => {
      const turns = [
        makeTurn({ id: 'old', createdAt: 9, prompt: 'egret' }),
        makeTurn({ id: 'new', createdAt: 10, prompt: 'egret' }),
        makeTurn({ id: 'newest', createdAt: 11, prompt: 'egret' }),
        makeTurn({ sessionId: 'other', id: 'other old', createdAt: 9 }),
        makeTurn({ sessionId: 'other', id: 'other new', createdAt: 10 }),
        makeTurn({ tenant: 'stranger', id: 'strange', createdAt: 9 }),
      ];
      for (const turn of turns) await store.append(turn);
      await store.recall(conversation, 'egret', { limit: 9 });
      assert.equal(await store.forget(target), gone.length);
      for (const of of [turns[0], turns[3], turns[5]] as Turn[]) {
        const mine = turns.filter(
          ({ tenant, sessionId }) => tenant === of.tenant && sessionId === of.sessionId,
        );
        const kept = mine.filter(({ id }) => !(gone as readonly string[]).includes(id));
        assert.deepEqual(await store.recent(of, { limit: 9 }), kept);
      }
      const found = await store.recall(conversation, 'egret', { limit: 9 });
      const expected = ['new', 'newest', 'old'].filter((id) => !(gone as readonly string[]).includes(id));
      assert.deepEqual(found.map(({ turn }) => turn.id).sort(), expected);
    }),
  ),

  withStore('lets the followers of a forgotten turn follow its parent', async (store) => {
    const links = [['a'], ['b', 'a'], ['c', 'b'], ['d', 'b'], ['e', 'd']];
    for (const [id, parentId] of links) {
      await store.append(makeTurn({ id: id as string, ...(parentId && { parentId }) }));
    }
    await store.forget({ ...conversation, turnId: 'b' });
    const kept = await store.recent(conversation, { limit: 9 });
    assert.deepEqual(
      kept.map(({ id, parentId }) => [id, parentId]),
      [
        ['a', undefined],
        ['c', 'a'],
        ['d', 'a'],
        ['e', 'd'],
      ],
    );
  }),

  withStore('leaves the turns after a forgotten date as they are', async (store) => {
    const kept = makeTurn({ id: 'kept', parentId: 'old', createdAt: 10 });
    await store.append(makeTurn({ id: 'old', createdAt: 9 }));
    await store.append(kept);
    assert.equal(await store.forget({ ...conversation, before: new Date(10) }), 1);
    assert.deepEqual(await store.recent(conversation, { limit: 9 }), [kept]);
  }),

  withStore('replaces a turn in its place, and finds only the new one', async (store) => {
    const turns = ['first', 'second', 'third'].map((id) => makeTurn({ id, prompt: `${id} egret` }));
    for (const turn of turns) await store.append(turn);
    await store.recall(conversation, 'egret', { limit: 9 });
    const stranger = makeTurn({ tenant: 'stranger', id: 'second', prompt: 'strange' });
    await store.append(stranger);
    const replacement = makeTurn({ id: 'second', prompt: 'a heron instead', createdAt: 7 });
    await store.append(replacement, { replace: true });
    assert.deepEqual(await store.recent(conversation, { limit: 9 }), [turns[0], replacement, turns[2]]);
    assert.deepEqual(await store.recent(stranger, { limit: 9 }), [stranger]);
    const found = await store.recall(conversation, 'second', { limit: 9 });
    assert.ok(found.every(({ turn }) => turn.prompt !== 'second egret'));
    const [heron] = await store.recall(conversation, 'heron', { limit: 1 });
    assert.deepEqual(heron?.turn, replacement);
    const added = makeTurn({ id: 'new' });
    await store.append(added, { replace: true });
    assert.deepEqual((await store.recent(conversation, { limit: 1 }))[0], added);
  }),
];
