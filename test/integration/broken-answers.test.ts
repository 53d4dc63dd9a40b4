import { gzipSync } from 'node:zlib';
import { IncompleteReplyError, ModelCallError } from 'multimodal-chat';
import { describe, expect, it } from 'vitest';
import { event, events, pieces, type RawReply, textChunk } from '../support/raw-replies.js';
import { fallbackModel, mainModel, openWireChat } from '../support/wire-chat.js';

const chunk = (...parts: readonly object[]) => ({ candidates: [{ content: { role: 'model', parts } }] });
const one = textChunk('One ');
const whole = events(one, textChunk('two.', 'STOP'));
const error = (code: number | undefined, message: string) => ({ error: { code, message } });
const cut = (reply: RawReply): RawReply => ({ ...reply, end: 'reset' });
const zipped = gzipSync(event(textChunk('One two. '.repeat(500), 'STOP')));
const inGzip = { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' };

/** How an answer breaks off, what the user has seen of it by then, and the failure. */
const breaks: readonly (readonly [string, RawReply, string, object])[] = [
  ['a reset after some text', cut(events(one)), 'One ', { kind: 'network' }],
  ['an end without a finish reason', events(one), 'One ', { reason: 'NO_FINISH_REASON' }],
  ['an end mark without a finish reason', pieces(event(one), 'data: [DONE]\n\n'), 'One ', {}],
  [
    'an end mark on a connection that stays open',
    { ...pieces(event(one), 'data: [DONE]\n\n'), end: 'open' },
    'One ',
    {},
  ],
  ['the end of the body within an event', pieces(event(one), 'data: {"candi'), 'One ', {}],
  ['a reset within an event', cut(pieces(event(one), 'data: {"candi')), 'One ', { kind: 'network' }],
  [
    'a body shorter than it should be',
    {
      ...cut(events(one)),
      headers: { 'content-type': 'text/event-stream', 'content-length': '5000' },
    },
    'One ',
    { kind: 'network' },
  ],
  ['an overload', events(one, error(503, 'Overloaded.')), 'One ', { kind: 'overloaded' }],
  ['an internal error', events(one, error(500, 'Oops.')), 'One ', { kind: 'internal' }],
  ['an error without a status', events(one, error(undefined, 'Oops.')), 'One ', { kind: 'incomplete' }],
  ['an error that is a text', events(one, { error: 'no credits' }), 'One ', { kind: 'incomplete' }],
  ['a stumble of the model', events(textChunk('One ', 'OTHER')), 'One ', { reason: 'OTHER' }],
  ['a reset after thoughts', cut(events(chunk({ text: 'hm', thought: true }))), '', { kind: 'network' }],
  ['an end after thoughts', events(chunk({ text: 'hm', thought: true })), '', {}],
  ['a reset after the headers', cut(pieces(': hello\n\n')), '', { kind: 'network' }],
  ['no body', pieces(), '', { reason: 'EMPTY_REPLY' }],
  ['no content (204)', { ...pieces(), status: 204 }, '', { reason: 'EMPTY_REPLY' }],
  ['half a gzip stream', { ...pieces(zipped.subarray(0, 60)), headers: inGzip }, '', {}],
  ['no gzip stream although it says so', { ...events(one), headers: inGzip }, '', { kind: 'network' }],
  ['JSON of another service', pieces('{"message":"no"}'), '', { reason: 'EMPTY_REPLY' }],
  ['an error in place of the answer', pieces('{"error":"no credits"}'), '', { reason: 'ERROR_IN_ANSWER' }],
];

describe.each(breaks)('an answer that breaks off by %s', (how, broken, shown, failure) => {
  const restarts = shown !== '' || how.endsWith('after thoughts') ? 1 : 0;

  it('every time costs one further call, of the fallback model, and tells the first fault', async () => {
    await using wire = await openWireChat(() => broken);
    const seen = await wire.ask();
    expect(seen.models).toEqual([mainModel, fallbackModel]);
    expect(seen.restarts).toBe(restarts);
    expect(seen.text).toBe(shown);
    expect(seen.error).toBeInstanceOf(shown === '' ? ModelCallError : IncompleteReplyError);
    expect(seen.error).toMatchObject({ failure, attempts: [{}, {}] });
  });

  it('every time costs one further call without a fallback model', async () => {
    await using wire = await openWireChat(() => broken, { fallbackModels: [] });
    const seen = await wire.ask();
    expect(seen.models).toEqual([mainModel, mainModel]);
    expect(seen.error).toMatchObject({ failure });
  });

  it('once is followed by the whole answer', async () => {
    await using wire = await openWireChat((call) => (call === 1 ? broken : whole));
    const seen = await wire.ask();
    expect(seen).toMatchObject({ text: 'One two.', reply: { text: 'One two.' }, error: undefined });
    expect(seen.models).toEqual([mainModel, fallbackModel]);
    expect(seen.restarts).toBe(restarts);
  });

  it('for one model only is answered by the other', async () => {
    await using wire = await openWireChat((_call, model) => (model === mainModel ? broken : whole));
    expect((await wire.ask()).reply).toMatchObject({ text: 'One two.', model: fallbackModel });
  });
});

describe('an answer that breaks off', () => {
  const long = 'One two three four five. ';

  it('at another place each time is asked for until it is whole, up to five times', async () => {
    const texts = ['One ', long.repeat(3), long, long.repeat(9)];
    const answer = (call: number) => {
      const text = texts[call - 1];
      return text === undefined ? whole : cut(events(textChunk(text)));
    };
    await using wire = await openWireChat(answer, { fallbackModels: [] });
    const seen = await wire.ask();
    expect(seen).toMatchObject({ text: 'One two.', restarts: 4 });
    expect(seen.models).toHaveLength(5);
  });

  it('at another place every time costs no more than `maxAttempts` calls', async () => {
    const answer = (call: number) => cut(events(textChunk(long.repeat(2 ** call))));
    const retry = { baseDelayMs: 1, maxDelayMs: 2, maxAttempts: 3 };
    await using wire = await openWireChat(answer, { fallbackModels: [], retry });
    const seen = await wire.ask();
    expect(seen.models).toHaveLength(3);
    expect(seen.error).toMatchObject({ partial: long.repeat(8) });
  });

  it('by silence costs one further call', async () => {
    const silent = { ...events(one), end: 'open' } as const;
    await using wire = await openWireChat(() => silent, { timeouts: { betweenChunksMs: 100 } });
    const seen = await wire.ask();
    expect(seen.models).toEqual([mainModel, fallbackModel]);
    expect(seen.error).toMatchObject({ partial: 'One ', failure: { reason: 'BETWEEN_CHUNKS' } });
  });

  it('with `onPartialOutput: fail` costs no further call', async () => {
    await using wire = await openWireChat(() => events(one), { retry: { onPartialOutput: 'fail' } });
    const seen = await wire.ask();
    expect(seen.models).toEqual([mainModel]);
    expect(seen).toMatchObject({ text: 'One ', restarts: 0, error: { partial: 'One ' } });
  });

  it('while it goes on in a further call is gone on with by the same model, and nothing is taken back', async () => {
    const first = {
      candidates: [
        { content: { parts: [{ text: 'One ' }] }, finishReason: 'CONTINUATION', continuationToken: 't' },
      ],
    };
    const answers = [events(first), cut(events(textChunk('two '))), events(textChunk('two three.', 'STOP'))];
    await using wire = await openWireChat((call) => answers[call - 1] ?? pieces());
    const seen = await wire.ask();
    expect(seen).toMatchObject({ text: 'One two three.', restarts: 0 });
    expect(seen.models).toEqual([mainModel, mainModel, mainModel]);
  });

  it('while it goes on, every time, ends with all that was shown, after one further call', async () => {
    const first = {
      candidates: [
        { content: { parts: [{ text: 'One ' }] }, finishReason: 'CONTINUATION', continuationToken: 't' },
      ],
    };
    await using wire = await openWireChat((call) => (call === 1 ? events(first) : events(textChunk('two '))));
    const seen = await wire.ask();
    expect(seen.models).toEqual([mainModel, mainModel, mainModel]);
    expect(seen.error).toMatchObject({ partial: 'One two ' });
  });
});
