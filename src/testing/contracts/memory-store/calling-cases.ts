import assert from 'node:assert/strict';
import { ClosedError } from '../../../core/errors.js';
import type { ContractCase } from '../contract-case.js';
import { conversation, idsOf, makeTurn, type WithStore } from './fixture.js';

/** Concurrency, abort, flush and close. */
export const callingCases = (withStore: WithStore): readonly ContractCase[] => [
  withStore('serves many calls at once', async (store) => {
    const turns = Array.from({ length: 40 }, (_, n) =>
      makeTurn({ sessionId: `s${n % 4}`, prompt: `pelican number${n}` }),
    );
    await Promise.all(
      turns.flatMap((turn) => [store.append(turn), store.recall(turn, 'pelican', { limit: 3 })]),
    );
    for (let session = 0; session < 4; session++) {
      const kept = await store.recent({ ...conversation, sessionId: `s${session}` }, { limit: 99 });
      assert.deepEqual(idsOf(kept), idsOf(turns.filter((_, n) => n % 4 === session)));
    }
  }),

  withStore('keeps one of many appends of the same id', async (store) => {
    await Promise.all(Array.from({ length: 8 }, () => store.append(makeTurn({ id: 'once' }))));
    assert.equal((await store.recent(conversation, { limit: 99 })).length, 1);
  }),

  withStore('rejects with the reason of an aborted signal', async (store) => {
    const reason = new Error('no longer wanted');
    const options = { signal: AbortSignal.abort(reason), limit: 1 };
    for (const call of [
      () => store.append(makeTurn(), options),
      () => store.recent(conversation, options),
      () => store.recall(conversation, 'capital', options),
      () => store.forget(conversation, options),
    ]) {
      await assert.rejects(call, (error) => error === reason);
    }
    assert.deepEqual(await store.recent(conversation, { limit: 1 }), []);
  }),

  withStore('counts nothing as pending after a flush', async (store) => {
    await store.append(makeTurn());
    await store.flush();
    assert.equal((await store.stats()).pending, 0);
  }),

  withStore('throws a ClosedError once it is closed, and closes twice', async (store) => {
    await store.append(makeTurn());
    await store.close();
    await store.close();
    for (const call of [
      () => store.append(makeTurn()),
      () => store.recent(conversation, { limit: 1 }),
      () => store.recall(conversation, 'capital', { limit: 1 }),
      () => store.forget(conversation),
      () => store.stats(),
      () => store.flush(),
      ...(store.summaries ? [() => store.summaries?.read(conversation)] : []),
    ]) {
      await assert.rejects(
        async () => call(),
        (error) => ClosedError.isInstance(error),
      );
    }
  }),
];
