import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue, Message, MessagePart } from './message.js';
import { type Turn, type TurnRecord, toTurn, toTurnRecord } from './turn.js';
import type { TurnMedia } from './turn-media.js';

const conversation = { tenant: 'tenant', sessionId: 'session' };
const base = { ...conversation, id: '1', createdAt: 1_000 };

const photo: TurnMedia = { kind: 'image', name: 'harbor.jpg', fingerprint: 'ab', mimeType: 'image/jpeg' };
const user = (text: string, ...media: TurnMedia[]): Message => ({
  role: 'user',
  parts: [...media.map((each) => ({ type: 'media', media: each }) as const), { type: 'text', text }],
});
const assistant = (text: string): Message => ({ role: 'assistant', parts: [{ type: 'text', text }] });

const text = fc.oneof(fc.constant(''), fc.string({ unit: 'binary', maxLength: 8 }));
/** Optional fields are absent, undefined or set. */
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const json = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<JsonValue>;
const providerMetadata = fc.dictionary(
  text,
  fc.dictionary(text, json, { maxKeys: 2, noNullPrototype: true }),
  { maxKeys: 2, noNullPrototype: true },
);
const mediaItem = fc.record(
  {
    kind: fc.constantFrom('image', 'video', 'audio', 'document'),
    name: text,
    fingerprint: text,
    mimeType: text,
    durationMs: maybe(fc.nat()),
    frameTimestampsMs: maybe(fc.array(fc.nat(), { maxLength: 3 })),
  },
  { requiredKeys: ['kind', 'name', 'fingerprint', 'mimeType'], noNullPrototype: true },
) as fc.Arbitrary<TurnMedia>;

const part = (required: Record<string, fc.Arbitrary<unknown>>, optional = {}) =>
  fc.record(
    { ...required, ...optional, providerMetadata: maybe(providerMetadata) },
    { requiredKeys: Object.keys(required) as never[], noNullPrototype: true },
  );
const messagePart = fc.oneof(
  part({ type: fc.constantFrom('text', 'reasoning'), text }),
  part({ type: fc.constant('media'), media: mediaItem }),
  part({ type: fc.constant('tool-call'), callId: text, name: text, input: json }),
  part(
    { type: fc.constant('tool-result'), callId: text, name: text, output: json },
    { isError: maybe(fc.boolean()), media: maybe(fc.array(mediaItem, { maxLength: 2 })) },
  ),
  part(
    { type: fc.constant('file'), mimeType: text, fingerprint: text, bytes: fc.nat() },
    { name: maybe(text) },
  ),
  part({ type: fc.constant('source'), kind: fc.constantFrom('web', 'map') }, { url: maybe(text) }),
  part({ type: fc.constant('of-a-later-version'), anything: json }),
) as fc.Arbitrary<MessagePart>;
const message = fc.record(
  {
    role: fc.constantFrom('user', 'assistant', 'tool'),
    parts: fc.array(messagePart, { maxLength: 4 }),
    origin: maybe(fc.record({ provider: text, model: text }, { noNullPrototype: true })),
    providerMetadata: maybe(providerMetadata),
  },
  { requiredKeys: ['role', 'parts'], noNullPrototype: true },
) as fc.Arbitrary<Message>;

const turnWith = (
  messages: (plain: {
    prompt: string;
    reply: string;
    media: TurnMedia[];
  }) => fc.Arbitrary<readonly Message[]>,
) =>
  fc.record({ prompt: text, reply: text, media: fc.array(mediaItem, { maxLength: 2 }) }).chain((plain) =>
    fc.record(
      {
        tenant: text,
        sessionId: text,
        id: text,
        createdAt: fc.nat(),
        prompt: fc.constant(plain.prompt),
        reply: fc.constant(plain.reply),
        messages: messages(plain),
        parentId: maybe(text),
        media: maybe(fc.constant(plain.media)),
        model: maybe(text),
        usage: fc.constant(undefined),
      },
      {
        requiredKeys: ['tenant', 'sessionId', 'id', 'createdAt', 'prompt', 'reply', 'messages'],
        noNullPrototype: true,
      },
    ),
  ) as fc.Arbitrary<Turn>;

/** Turns of any messages, and of those that plain text makes, or nearly. */
const anyTurn = fc.oneof(
  turnWith(() => fc.array(message, { maxLength: 5 })),
  turnWith(({ prompt, reply, media }) =>
    fc.constantFrom(
      [user(prompt, ...media), assistant(reply)],
      [user(prompt, ...media)],
      [user(prompt), assistant(reply)],
      [user(prompt, ...media), { ...assistant(reply), origin: undefined }],
      [user(prompt, ...media), assistant(reply), assistant(reply)],
    ),
  ),
);

describe('toTurnRecord', () => {
  it('makes a record that toTurn completes to the same turn', () => {
    fc.assert(
      fc.property(anyTurn, (turn) => {
        expect(toTurn(toTurnRecord(turn))).toStrictEqual(turn);
      }),
      { numRuns: 500 },
    );
  });

  it('makes a record that survives JSON', () => {
    const viaJson = (value: unknown) => JSON.parse(JSON.stringify(value));
    fc.assert(
      fc.property(anyTurn, (turn) => {
        expect(toTurn(viaJson(toTurnRecord(turn)))).toStrictEqual(viaJson(turn));
      }),
      { numRuns: 500 },
    );
  });

  it('leaves out messages that say no more than the plain text', () => {
    const plain = { ...base, parentId: '0', prompt: 'Where?', reply: 'Oslo.', media: [photo] };
    expect(toTurnRecord(toTurn(plain))).toStrictEqual(plain);
    const signed = {
      ...toTurn(plain),
      messages: [user('Where?', photo), { ...assistant('Oslo.'), providerMetadata: {} }],
    };
    expect(toTurnRecord(signed)).toStrictEqual(signed);
  });
});

describe('toTurn', () => {
  it('makes messages of the plain text, attachments first', () => {
    expect(toTurn({ ...base, prompt: 'Where?', reply: 'Oslo.', media: [photo] }).messages).toStrictEqual([
      user('Where?', photo),
      assistant('Oslo.'),
    ]);
  });

  it('makes no answer of an empty reply', () => {
    expect(toTurn({ ...base, prompt: 'Note this.' })).toStrictEqual({
      ...base,
      prompt: 'Note this.',
      reply: '',
      messages: [user('Note this.')],
    });
  });

  it('reads prompt, reply and attachments from the messages', () => {
    const messages: readonly Message[] = [
      user('Where?', photo),
      {
        role: 'assistant',
        parts: [
          { type: 'reasoning', text: 'Hm.' },
          { type: 'text', text: 'In ' },
        ],
      },
      { role: 'tool', parts: [{ type: 'tool-result', callId: '1', name: 'find', output: 'Oslo' }] },
      assistant('Oslo.'),
    ];
    expect(toTurn({ ...base, messages })).toStrictEqual({
      ...base,
      messages,
      prompt: 'Where?',
      reply: 'In Oslo.',
      media: [photo],
    });
  });

  it.each([
    [
      'with its model as their origin',
      { model: 'gemini-x' },
      { origin: { provider: 'google', model: 'gemini-x' } },
    ],
    ['without an origin where no model is named', {}, {}],
  ])('keeps the parts of Gemini that versions before 0.2 stored, %s', (_, fields, expected) => {
    const replyParts = [{ text: 'Oslo.', thoughtSignature: 'c2lnbmVk' }];
    const { messages, ...plain } = toTurn({
      ...base,
      ...fields,
      prompt: 'Where?',
      reply: 'Oslo.',
      replyParts,
    });
    expect(messages).toStrictEqual([
      user('Where?'),
      { ...assistant('Oslo.'), ...expected, providerMetadata: { google: { parts: replyParts } } },
    ]);
    expect(plain).toStrictEqual({ ...base, ...fields, prompt: 'Where?', reply: 'Oslo.' });
  });

  it('keeps the parts of Gemini of an answer without text', () => {
    const record: TurnRecord = { ...base, prompt: 'Draw.', reply: '', replyParts: [{ inlineData: {} }] };
    expect(toTurn(record).messages[1]).toStrictEqual({
      role: 'assistant',
      parts: [],
      providerMetadata: { google: { parts: [{ inlineData: {} }] } },
    });
  });
});
