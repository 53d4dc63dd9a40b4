import assert from 'node:assert/strict';
import type { Message, MessagePart } from '../../../core/message.js';
import type { ContractCase } from '../contract-case.js';
import { conversation, idsOf, makeTurn, type WithStore } from './fixture.js';

/** A turn of three steps, with everything that a message may hold. */
const toolMessages: readonly Message[] = [
  { role: 'user', parts: [{ type: 'text', text: 'Where is the walrus?' }] },
  {
    role: 'assistant',
    parts: [
      {
        type: 'reasoning',
        text: 'Look it up.',
        providerMetadata: { some: { signature: 'c2ln', at: [1, null] } },
      },
      { type: 'tool-call', callId: 'c1', name: 'find', input: { what: 'walrus', near: [1.5, true, null] } },
      { type: 'tool-call', callId: 'c2', name: 'draw', input: 'walrus' },
    ],
    origin: { provider: 'some', model: 'some-model' },
    providerMetadata: { some: { parts: [{ text: '' }] }, other: {} },
  },
  {
    role: 'tool',
    parts: [
      { type: 'tool-result', callId: 'c1', name: 'find', output: { beach: ['north', ''] } },
      {
        type: 'tool-result',
        callId: 'c2',
        name: 'draw',
        output: 'out of paper',
        isError: true,
        media: [{ kind: 'image', name: 'half.png', fingerprint: 'cd'.repeat(32), mimeType: 'image/png' }],
      },
    ],
  },
  { role: 'assistant', parts: [] },
  {
    role: 'assistant',
    parts: [
      { type: 'text', text: 'On the northern beach.' },
      { type: 'file', mimeType: 'image/png', fingerprint: 'ef'.repeat(32), bytes: 7, name: 'walrus.png' },
      { type: 'source', kind: 'web', title: 'Beaches', url: 'https://example.org/?a=b#c' },
      { type: 'provider', providerMetadata: { some: { part: { executableCode: { code: 'x' } } } } },
    ],
  },
];

/** What is appended is kept: whole, in order, once. */
export const keepingCases = (withStore: WithStore): readonly ContractCase[] => [
  withStore('finds nothing in a conversation without turns', async (store) => {
    assert.deepEqual(await store.recent(conversation, { limit: 10 }), []);
    assert.deepEqual(await store.recall(conversation, 'anything', { limit: 10 }), []);
    assert.equal(await store.forget(conversation), 0);
  }),

  withStore('gives back a whole turn', async (store) => {
    const turn = makeTurn({
      media: [
        {
          kind: 'video',
          name: 'harbor.mp4',
          fingerprint: 'ab'.repeat(32),
          mimeType: 'video/mp4',
          durationMs: 61_000,
          frameTimestampsMs: [0, 1_500],
        },
      ],
      model: 'some-model',
      usage: { inputTokens: 7, outputTokens: 2, thoughtTokens: 0, totalTokens: 9 },
    });
    await store.append(turn);
    assert.deepEqual(await store.recent(conversation, { limit: 1 }), [turn]);
    const [recalled] = await store.recall(conversation, 'capital', { limit: 1 });
    assert.deepEqual(recalled?.turn, turn);
  }),

  ...[
    ['a turn of tool calls and results, files and sources', toolMessages],
    [
      'message parts of unknown types',
      [
        {
          role: 'assistant',
          parts: [{ type: 'hologram', depth: [3, { of: null }] } as object as MessagePart],
        },
      ],
    ] satisfies [string, readonly Message[]],
  ].map(([what, messages]) =>
    withStore(`gives back ${what} unchanged`, async (store) => {
      const turn = makeTurn({
        messages: messages as readonly Message[],
        parentId: 'the turn before',
        prompt: 'Where is the walrus?',
        reply: 'On the northern beach.',
      });
      await store.append(turn);
      assert.deepEqual(await store.recent(conversation, { limit: 1 }), [turn]);
      const [recalled] = await store.recall(conversation, 'walrus', { limit: 1 });
      assert.deepEqual(recalled?.turn, turn);
    }),
  ),

  withStore('keeps the order of appending, whatever the dates', async (store) => {
    const turns = [3, 1, 2].map((day) => makeTurn({ createdAt: Date.UTC(2026, 0, day) }));
    for (const turn of turns) await store.append(turn);
    assert.deepEqual(idsOf(await store.recent(conversation, { limit: 10 })), idsOf(turns));
  }),

  withStore('gives the last turns up to the limit, oldest first', async (store) => {
    const turns = Array.from({ length: 12 }, () => makeTurn());
    for (const turn of turns) await store.append(turn);
    for (const limit of [0, 1, 5, 12, 100]) {
      const expected = limit === 0 ? [] : turns.slice(-limit);
      assert.deepEqual(idsOf(await store.recent(conversation, { limit })), idsOf(expected), `limit ${limit}`);
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
];
