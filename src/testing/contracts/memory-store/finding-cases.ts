import assert from 'node:assert/strict';
import type { ContractCase } from '../contract-case.js';
import { conversation, makeTurn, type WithStore } from './fixture.js';

/** Recall finds what was asked for. */
export const findingCases = (withStore: WithStore): readonly ContractCase[] => [
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

  withStore('survives any query', async (store) => {
    await store.append(makeTurn());
    for (const query of ['', ' ', '"', '* OR 1=1', '\0', '🙂', 'x'.repeat(50_000), '\ud800']) {
      assert.ok(Array.isArray(await store.recall(conversation, query, { limit: 3 })));
    }
  }),
];
