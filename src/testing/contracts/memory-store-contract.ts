import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { MemoryError } from '../../errors.js';
import type { MemoryStore } from '../../memory/memory-store.js';
import type { Conversation, Turn } from '../../types.js';
import type { ContractCase } from './contract-case.js';
import { hostileNames } from './hostile-names.js';

export interface MemoryStoreContractOptions {
  /** Opens what `store` had written once more, as after a restart. Adds the cases that need it. */
  readonly reopen?: ((store: MemoryStore) => Promise<MemoryStore>) | undefined;
}

const conversation: Conversation = { tenant: 'tenant', sessionId: 'session' };

/** A turn with what matters to a case; the rest is filled in. */
export function makeTurn(fields: Partial<Turn> = {}): Turn {
  return {
    ...conversation,
    id: randomUUID(),
    createdAt: Date.UTC(2026, 10, 1),
    prompt: 'What is the capital of France?',
    reply: 'Paris.',
    ...fields,
  };
}

const ids = (turns: readonly Turn[]) => turns.map(({ id }) => id);

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
  const withStore = (name: string, check: (store: MemoryStore) => Promise<void>): ContractCase => ({
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
    withStore('has nothing to say about a conversation that never was', async (store) => {
      assert.deepEqual(await store.recent(conversation, { limit: 10 }), []);
      assert.deepEqual(await store.recall(conversation, 'anything', { limit: 10 }), []);
      assert.equal(await store.forget(conversation), 0);
    }),

    withStore('gives a turn back whole', async (store) => {
      const turn = makeTurn({
        media: [
          {
            kind: 'video',
            name: 'harbour.mp4',
            fingerprint: 'ab'.repeat(32),
            mimeType: 'video/mp4',
            durationMs: 61_000,
            frameTimestampsMs: [0, 1_500],
          },
        ],
        model: 'some-model',
        replyParts: [{ text: 'Paris.', thoughtSignature: 'c2lnbmVk' }],
        usage: { inputTokens: 7, outputTokens: 2, thoughtTokens: 0, totalTokens: 9 },
      });
      await store.append(turn);
      assert.deepEqual(await store.recent(conversation, { limit: 1 }), [turn]);
      const [recalled] = await store.recall(conversation, 'capital', { limit: 1 });
      assert.deepEqual(recalled?.turn, turn);
    }),

    withStore('keeps the order of appending, whatever the dates say', async (store) => {
      const turns = [3, 1, 2].map((day) => makeTurn({ createdAt: Date.UTC(2026, 0, day) }));
      for (const turn of turns) await store.append(turn);
      assert.deepEqual(ids(await store.recent(conversation, { limit: 10 })), ids(turns));
    }),

    withStore('gives the last turns up to the limit, oldest first', async (store) => {
      const turns = Array.from({ length: 12 }, () => makeTurn());
      for (const turn of turns) await store.append(turn);
      for (const limit of [0, 1, 5, 12, 100]) {
        const expected = limit === 0 ? [] : turns.slice(-limit);
        assert.deepEqual(ids(await store.recent(conversation, { limit })), ids(expected), `limit ${limit}`);
      }
    }),

    withStore('changes nothing when a known id is appended again', async (store) => {
      const turn = makeTurn({ prompt: 'first wording' });
      await store.append(turn);
      await store.append(makeTurn({ id: turn.id, prompt: 'second wording' }));
      assert.deepEqual(await store.recent(conversation, { limit: 10 }), [turn]);
    }),

    withStore('keeps the same id in another conversation apart', async (store) => {
      const here = makeTurn({ id: 'same' });
      const there = makeTurn({ id: 'same', sessionId: 'other', prompt: 'elsewhere' });
      await store.append(here);
      await store.append(there);
      assert.deepEqual(await store.recent(here, { limit: 5 }), [here]);
      assert.deepEqual(await store.recent(there, { limit: 5 }), [there]);
    }),

    withStore('finds the turn that holds the words of the query first', async (store) => {
      const turns = [
        'I adopted a tortoise named Archimedes.',
        'The weather in Lisbon was lovely.',
        'My sister plays the violin.',
        'We fixed the garden fence.',
        'The train to Vienna was late.',
      ].map((prompt) => makeTurn({ prompt, reply: '' }));
      for (const turn of turns) await store.append(turn);
      const found = await store.recall(conversation, 'which instrument: the violin?', { limit: 3 });
      assert.equal(found[0]?.turn.id, turns[2]?.id);
      assert.ok(found.length <= 3);
      for (const [at, { score }] of found.entries()) {
        assert.ok(score > 0 && score <= 1, `score ${score} is not within (0, 1]`);
        assert.ok(score <= (found[at - 1]?.score ?? 1), 'best first');
      }
    }),

    withStore('finds a turn by the words of its answer', async (store) => {
      await store.append(makeTurn({ prompt: 'How was it?', reply: 'The lighthouse keeper waved.' }));
      await store.append(makeTurn({ prompt: 'And then?', reply: 'We sailed home.' }));
      const [found] = await store.recall(conversation, 'lighthouse', { limit: 1 });
      assert.equal(found?.turn.prompt, 'How was it?');
    }),

    withStore('finds a turn as soon as it is appended, also after an earlier recall', async (store) => {
      await store.append(makeTurn({ prompt: 'apples' }));
      await store.recall(conversation, 'apples', { limit: 1 });
      await store.append(makeTurn({ prompt: 'a zeppelin over the bridge' }));
      const [found] = await store.recall(conversation, 'zeppelin', { limit: 1 });
      assert.equal(found?.turn.prompt, 'a zeppelin over the bridge');
    }),

    ...[
      ['Greek with accents', 'Θα πάμε στη θάλασσα αύριο', 'θάλασσα'],
      ['Chinese, which has no spaces', '我们昨天在公园里看到了一只狐狸', '狐狸'],
      ['Japanese, which has no spaces', '明日は京都で紅葉を見る予定です', '紅葉'],
      ['Korean', '우리는 내일 부산에 갑니다', '부산에'],
      ['Arabic', 'ذهبنا إلى السوق صباحا', 'السوق'],
      ['Thai, which has no spaces', 'เราไปทะเลเมื่อวานนี้', 'ทะเล'],
      ['German in other letter case', 'Die Straßenbahn fährt über die Brücke', 'BRÜCKE'],
    ].map(([what, text, query]) =>
      withStore(`finds words in ${what}`, async (store) => {
        await store.append(makeTurn({ prompt: 'something else', reply: '' }));
        await store.append(makeTurn({ prompt: text as string, reply: '' }));
        await store.append(makeTurn({ prompt: 'nothing of it', reply: '' }));
        await store.append(makeTurn({ prompt: 'far away', reply: '' }));
        const [found] = await store.recall(conversation, query as string, { limit: 1 });
        assert.equal(found?.turn.prompt, text);
      }),
    ),

    withStore('keeps any text exactly', async (store) => {
      const texts = [
        '',
        'nul\0inside',
        'line\r\nbreaks\u2028',
        '👩‍👩‍👧‍👦 🇫🇷',
        'lone \ud800 surrogate',
        '"); DROP TABLE turns; --',
      ];
      for (const text of texts) await store.append(makeTurn({ prompt: text, reply: text }));
      const kept = await store.recent(conversation, { limit: 10 });
      assert.deepEqual(
        kept.map(({ prompt, reply }) => [prompt, reply]),
        texts.map((text) => [text, text]),
      );
    }),

    withStore('keeps and finds a turn of 100 KB', async (store) => {
      const long = makeTurn({ prompt: 'long read', reply: `${'lorem ipsum dolor '.repeat(5_700)}quokka` });
      await store.append(makeTurn({ prompt: 'short' }));
      await store.append(long);
      assert.deepEqual(await store.recent(conversation, { limit: 1 }), [long]);
      const [found] = await store.recall(conversation, 'quokka', { limit: 1 });
      assert.equal(found?.turn.id, long.id);
    }),

    withStore('survives any query', async (store) => {
      await store.append(makeTurn());
      for (const query of ['', ' ', '"', '* OR 1=1', '\0', '🙂', 'x'.repeat(50_000), '\ud800']) {
        assert.ok(Array.isArray(await store.recall(conversation, query, { limit: 3 })));
      }
    }),

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

    withStore('starts a forgotten conversation anew', async (store) => {
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

    withStore('serves many calls at once', async (store) => {
      const turns = Array.from({ length: 40 }, (_, n) =>
        makeTurn({ sessionId: `s${n % 4}`, prompt: `pelican number${n}` }),
      );
      await Promise.all(
        turns.flatMap((turn) => [store.append(turn), store.recall(turn, 'pelican', { limit: 3 })]),
      );
      for (let session = 0; session < 4; session++) {
        const kept = await store.recent({ ...conversation, sessionId: `s${session}` }, { limit: 99 });
        assert.deepEqual(ids(kept), ids(turns.filter((_, n) => n % 4 === session)));
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

    withStore('throws a MemoryError when it is closed, and closes twice', async (store) => {
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
      ]) {
        await assert.rejects(call, (error) => MemoryError.isInstance(error));
      }
    }),

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
              assert.deepEqual(ids(await again.recent(conversation, { limit: 9 })), ids([...turns, next]));
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
