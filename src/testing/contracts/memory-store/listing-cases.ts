import assert from 'node:assert/strict';
import { ClosedError } from '../../../core/errors.js';
import type { MemoryStore, StoredSession } from '../../../memory/memory-store.js';
import type { ContractCase } from '../contract-case.js';
import { hostileNames } from '../hostile-names.js';
import { makeTurn, type WithStore } from './fixture.js';

const tenant = 'tenant';
const day = (date: number) => Date.UTC(2026, 0, date);

type List = NonNullable<MemoryStore['sessions']>;

/** All pages of `limit` conversations. */
async function allPages(list: List, of: string, limit: number): Promise<readonly StoredSession[]> {
  const listed: StoredSession[] = [];
  for (;;) {
    const page = await list(of, { limit, before: listed.at(-1) });
    assert.ok(page.length <= limit, 'a page holds at most `limit`');
    listed.push(...page);
    if (page.length < limit) return listed;
    assert.ok(listed.length < 10_000, 'the pages never end');
  }
}

const namesOf = (sessions: readonly StoredSession[]) => sessions.map(({ sessionId }) => sessionId);

/** What a store with `sessions` owes; one without passes. */
export const listingCases = (withStore: WithStore): readonly ContractCase[] => {
  const withList = (name: string, check: (store: MemoryStore, list: List) => Promise<void>) =>
    withStore(name, async (store) => {
      if (store.sessions !== undefined) await check(store, store.sessions.bind(store));
    });

  return [
    withList('lists the conversations of a tenant, those used last first', async (store, list) => {
      assert.deepEqual(await list(tenant, { limit: 9 }), []);
      await store.append(makeTurn({ sessionId: 'early', createdAt: day(1), prompt: ' Where is\n it? ' }));
      await store.append(makeTurn({ sessionId: 'late', createdAt: day(2), prompt: 'x'.repeat(5_000) }));
      await store.append(makeTurn({ sessionId: 'early', createdAt: day(3), prompt: 'And now?' }));
      await store.append(makeTurn({ tenant: 'stranger', sessionId: 'strange', createdAt: day(9) }));
      const [first, second, ...others] = await list(tenant, { limit: 9 });
      assert.deepEqual(first, {
        sessionId: 'early',
        title: 'Where is it?',
        turns: 2,
        firstAt: day(1),
        lastAt: day(3),
      });
      const { title = '', ...rest } = second ?? {};
      assert.deepEqual(rest, { sessionId: 'late', turns: 1, firstAt: day(2), lastAt: day(2) });
      assert.match(title, /^x{1,119}…?$/);
      assert.deepEqual(others, []);
    }),

    withList(
      'lists each conversation once over all pages, also those of the same time',
      async (store, list) => {
        for (let at = 0; at < 7; at += 1) {
          await store.append(makeTurn({ sessionId: `s${at}`, createdAt: day(1 + (at >> 2)) }));
        }
        const whole = namesOf(await list(tenant, { limit: 99 }));
        assert.deepEqual([...whole].sort(), ['s0', 's1', 's2', 's3', 's4', 's5', 's6']);
        assert.deepEqual([...whole.slice(0, 3)].sort(), ['s4', 's5', 's6']);
        for (const limit of [1, 2, 3, 7])
          assert.deepEqual(namesOf(await allPages(list, tenant, limit)), whole);
        const before = namesOf(await list(tenant, { limit: 99, before: { lastAt: day(2) } }));
        assert.deepEqual(before, whole.slice(3));
      },
    ),

    withList('lists no conversation of another tenant, whatever the names', async (store, list) => {
      const names = hostileNames();
      await Promise.all(
        names.flatMap((name) => [
          store.append(makeTurn({ tenant: name, sessionId: 'mine' })),
          store.append(makeTurn({ sessionId: name })),
        ]),
      );
      for (const name of names) assert.deepEqual(namesOf(await list(name, { limit: 99 })), ['mine']);
      const listed = namesOf(await allPages(list, tenant, 10));
      assert.equal(listed.length, names.length);
      assert.deepEqual(new Set(listed), new Set(names));
      assert.deepEqual(await list('nobody', { limit: 9 }), []);
    }),

    withList('lists what is left after turns were forgotten or replaced', async (store, list) => {
      for (const [id, date] of [
        ['a', 1],
        ['b', 5],
        ['c', 9],
      ] as const) {
        await store.append(makeTurn({ sessionId: 'kept', id, createdAt: day(date), prompt: id }));
      }
      await store.append(makeTurn({ sessionId: 'gone', createdAt: day(2) }));
      await store.forget({ tenant, before: new Date(day(3)) });
      await store.forget({ tenant, sessionId: 'kept', turnId: 'c' });
      const left = { sessionId: 'kept', title: 'b', turns: 1, firstAt: day(5), lastAt: day(5) };
      assert.deepEqual(await list(tenant, { limit: 9 }), [left]);
      const again = makeTurn({ sessionId: 'kept', id: 'b', createdAt: day(7), prompt: 'again' });
      await store.append(again, { replace: true });
      const now = { ...left, title: 'again', firstAt: day(7), lastAt: day(7) };
      assert.deepEqual(await list(tenant, { limit: 9 }), [now]);
      await store.forget({ tenant });
      assert.deepEqual(await list(tenant, { limit: 9 }), []);
    }),

    withList('lists nothing for an aborted call or after close', async (store, list) => {
      await store.append(makeTurn());
      const reason = new Error('no longer wanted');
      await assert.rejects(
        list(tenant, { limit: 9, signal: AbortSignal.abort(reason) }),
        (error) => error === reason,
      );
      await store.close();
      await assert.rejects(
        async () => list(tenant, { limit: 9 }),
        (error) => ClosedError.isInstance(error),
      );
    }),
  ];
};
