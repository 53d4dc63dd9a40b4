import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordedAnswers, wireBytes } from '../../../../test/support/recorded-answers.js';
import { BlockedError, ModelCallError } from '../../../core/errors.js';
import { Redactor } from '../../../core/redact.js';
import type { ModelEvent } from '../../chat-model.js';
import { ReplyReader } from './read-reply.js';

/** What a reply comes to: the text, the thoughts, and how it ended. */
function read(chunks: readonly Uint8Array[]) {
  const reader = new ReplyReader(new Redactor(['key-12345678']));
  const events: ModelEvent[] = [];
  let end: string;
  try {
    for (const chunk of chunks) {
      if (reader.isOver) break;
      events.push(...reader.push(chunk));
    }
    events.push(...reader.drain());
    const finish = reader.finish().at(-1);
    end = finish?.type === 'finish' ? finish.finishReason : 'no finish';
  } catch (error) {
    if (BlockedError.isInstance(error)) end = `blocked: ${error.reason}`;
    else if (ModelCallError.isInstance(error))
      end = `${error.failure.kind}/${error.failure.scope}: ${error.failure.reason}`;
    else throw error;
  }
  const joined = (type: 'text' | 'thought') =>
    events.flatMap((event) => (event.type === type ? [event.text] : [])).join('');
  return { text: joined('text'), thoughts: joined('thought'), end };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const piece = (text: string) =>
  `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }] } }] })}\n\n`;
const answer = (text: string) =>
  `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }] }, finishReason: 'STOP' }] })}\n\n`;

describe('ReplyReader', () => {
  it.each(recordedAnswers)('reads the recorded $name', ({ body, end, text, thoughts }) => {
    const expected = { text, thoughts, end };
    expect(read([wireBytes(body)])).toEqual(expected);
  });

  it.each(recordedAnswers)('reads the recorded $name byte by byte', ({ body, end, text, thoughts }) => {
    const whole = wireBytes(body);
    const single = Array.from(whole, (_, index) => whole.subarray(index, index + 1));
    expect(read(single)).toEqual({ text, thoughts, end });
  });

  it('reads any recorded answer the same, wherever it is cut', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...recordedAnswers),
        fc.array(fc.nat(), { maxLength: 8 }),
        ({ body, end, text }, cuts) => {
          const whole = wireBytes(body);
          const places = [...new Set(cuts.map((cut) => cut % (whole.length + 1)))].sort((a, b) => a - b);
          const chunks = [0, ...places].map((from, index) => whole.subarray(from, places[index]));
          expect(read(chunks)).toMatchObject({ text, end });
        },
      ),
    );
  });

  it.each([
    [
      'an error event',
      `${piece('a')}event: error\ndata: {"error":{"code":503,"message":"Overloaded."}}\n\n`,
      'a',
      'overloaded/model: undefined',
    ],
    ['an error event without JSON', 'event: error\ndata: oops\n\n', '', 'incomplete/call: ERROR_IN_ANSWER'],
    [
      'an error as a chunk',
      `${piece('a')}data: {"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}\n\n`,
      'a',
      'rate-limit/project-model: RESOURCE_EXHAUSTED',
    ],
    [
      'broken JSON',
      `${piece('a')}data: {"candidates": [{"con\n\n${answer('b')}`,
      'a',
      'incomplete/call: MALFORMED_JSON',
    ],
    [
      'half an event at the end',
      `${piece('a')}data: {"candidates": [{"con`,
      'a',
      'incomplete/call: MALFORMED_JSON',
    ],
    ['half a JSON reply', '{"candidates": [{"con', '', 'incomplete/call: MALFORMED_JSON'],
    [
      'an HTML page',
      '<!DOCTYPE html>\n<html><body>Log in</body></html>',
      '',
      'invalid-request/call: NOT_GEMINI',
    ],
    [
      'a list of chunks that is not streamed',
      `[${JSON.stringify({ candidates: [{ content: { parts: [{ text: 'a' }] }, finishReason: 'STOP' }] })}]`,
      'a',
      'stop',
    ],
    ['half a list', `[${answer('a').slice(6, -3)},`, '', 'incomplete/call: MALFORMED_JSON'],
    ['one object a line', `${answer('a').slice(6, -1)}${answer('b').slice(6, -1)}`, 'ab', 'stop'],
    ['nothing', '', '', 'incomplete/call: EMPTY_REPLY'],
    ['an end mark alone', 'data: [DONE]\n\n', '', 'incomplete/call: EMPTY_REPLY'],
    [
      'events of another protocol alone',
      'event: ping\ndata: {"type":"ping"}\n\ndata: hello\n\n',
      '',
      'incomplete/call: EMPTY_REPLY',
    ],
    [
      'a placeholder in place of a finish reason',
      answer('a').replace('STOP', 'FINISH_REASON_UNSPECIFIED'),
      'a',
      'incomplete/call: NO_FINISH_REASON',
    ],
    ['an error that is a text', 'data: {"error":"overloaded"}\n\n', '', 'incomplete/call: ERROR_IN_ANSWER'],
  ])('ends as expected on %s', (_, body, text, end) => {
    expect(read([bytes(body)])).toEqual({ text, thoughts: '', end });
  });

  const counts = 'data: {"usageMetadata":{"promptTokenCount":1}}\n\n';
  it.each([
    ['an end mark', 'data: [DONE]\n\n'],
    ['an end mark without its empty line', 'data: [DONE]'],
    ['counts and an end mark', `${counts}data: [DONE]\n\n`],
    ['an error event', 'event: error\ndata: {"error":{"code":503,"message":"Overloaded."}}\n\n'],
    ['an error as a chunk', 'data: {"error":{"code":500,"status":"INTERNAL"}}\n\n'],
    ['an error outside of events', '{\n"error": {"code": 499}\n}\n'],
    ['half an event', 'data: {"candi'],
    ['half a JSON object', '{"candidates": [{"con'],
    ['broken JSON', 'data: {oops}\n\n'],
    ['text', 'data: bye\n\n'],
    ['values that are no objects', 'data: null\n\ndata: 7\n\ndata: "x"\n\ndata: []\n\n'],
    ['comments', ': keep-alive\n\n: keep-alive\n\n'],
    ['events of another protocol', 'event: message_stop\ndata: {"type":"message_stop"}\n\n'],
    ['a page', '<html>Bad gateway</html>'],
    ['a placeholder', 'data: {"candidates":[{"finishReason":"FINISH_REASON_UNSPECIFIED"}]}\n\n'],
    ['another candidate without a reason', 'data: {"candidates":[{"finishReason":null}]}\n\n'],
  ])('keeps a whole answer, whatever follows: %s', (_, rest) => {
    expect(read([bytes(answer('a') + rest)])).toEqual({ text: 'a', thoughts: '', end: 'stop' });
    expect(read([bytes(answer('a')), bytes(rest)])).toEqual({ text: 'a', thoughts: '', end: 'stop' });
  });

  it.each([
    ['an end mark', 'data: [DONE]\n\n'],
    ['text', 'data: hello\n\n'],
    ['a value', 'data: null\n\n'],
    ['events of another protocol', 'event: ping\ndata: {"type":"ping"}\n\n'],
  ])('reads on after %s before the end', (_, rubbish) => {
    expect(read([bytes(piece('a') + rubbish + answer('b'))])).toMatchObject({ text: 'ab', end: 'stop' });
  });

  it('believes an error after a STOP that every chunk repeats', () => {
    const error = 'data: {"error":{"code":503,"status":"UNAVAILABLE"}}\n\n';
    expect(read([bytes(answer('a') + answer('b') + error)]).end).toBe('overloaded/model: UNAVAILABLE');
  });

  it.each([
    ['nothing yet', '', undefined],
    ['half an answer', piece('a'), undefined],
    ['a whole answer', answer('a'), 2_000],
    ['a whole answer without its empty line', answer('a').trimEnd(), 2_000],
    ['half a chunk', '{"candidates":[{"finishReason":"STOP"}', undefined],
    ['a STOP in every chunk', answer('a') + answer('b'), 10_000],
    ['a placeholder', answer('a').replace('STOP', 'FINISH_REASON_UNSPECIFIED'), undefined],
  ])('knows how long a silence ends %s', (_, body, ms) => {
    const reader = new ReplyReader(new Redactor());
    reader.push(bytes(body));
    expect(reader.endsAfterMs).toBe(ms);
  });

  it('is over at an end mark after a whole answer', () => {
    const reader = new ReplyReader(new Redactor());
    reader.push(bytes(`data: [DONE]\n\n${piece('a')}`));
    expect(reader.isOver).toBe(false);
    reader.push(bytes(`${answer('b')}data: [DONE]\n\n`));
    expect(reader.isOver).toBe(true);
  });

  it('reads alike chunks as often as they come, also with the same counts', () => {
    const alike = `data: ${JSON.stringify({
      ...{ responseId: 'r', candidates: [{ content: { parts: [{ text: '0 ' }] } }] },
      usageMetadata: { candidatesTokenCount: 3 },
    })}\n\n`;
    expect(read([bytes(alike + alike + alike + answer('.'))]).text).toBe('0 0 0 .');
  });

  it('reads a long piece once that was sent twice', () => {
    const piece =
      'Among the oldest bridges of the town is one that nobody crosses any more, though it still stands. ';
    const sent = `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text: `${piece}1 ` }] } }] })}\n\n`;
    expect(read([bytes(sent + sent + answer('.'))]).text).toBe(`${piece}1 .`);
  });

  it.each([
    ['foreign JSON', '{"message":"quota of the day"}', 'quota of the day'],
    ['foreign events', 'data: {"detail":[{"msg":"no such tenant"}]}\n\n', 'no such tenant'],
    ['a page', '<html><title>Log in</title></html>', 'Log in'],
  ])('quotes what another server said in place of an answer: %s', (_, body, words) => {
    const reader = new ReplyReader(new Redactor());
    reader.push(bytes(body));
    reader.drain();
    expect(() => reader.finish()).toThrow(words);
  });

  it('sends sources last, before the finish event, and removes keys from them', () => {
    const reader = new ReplyReader(new Redactor(['key-12345678']));
    const groundingMetadata = { groundingChunks: [{ web: { uri: 'https://a/key-12345678', title: 'A' } }] };
    const candidate = { content: { parts: [{ text: 'a' }] }, finishReason: 'STOP', groundingMetadata };
    expect(reader.push(bytes(`data: ${JSON.stringify({ candidates: [candidate] })}\n\n`))).toMatchObject([
      { type: 'text' },
    ]);
    const source = { type: 'source', kind: 'web', title: 'A', url: 'https://a/***' };
    expect(reader.finish()).toMatchObject([
      { type: 'source', source },
      { type: 'finish', parts: [{ type: 'text' }, source] },
    ]);
  });

  it('removes a key that an error in the stream echoes', () => {
    const reader = new ReplyReader(new Redactor(['key-12345678']));
    reader.push(bytes('event: error\ndata: bad key-12345678\n\n'));
    expect(() => reader.finish()).toThrow('bad ***');
  });

  it('removes a key that a refusal echoes', () => {
    const promptFeedback = { blockReason: 'OTHER key-12345678' };
    expect(read([bytes(`data: ${JSON.stringify({ promptFeedback })}\n\n`)]).end).toBe('blocked: OTHER ***');
  });

  it('reads a chunk of 20 MB in pieces of 16 kB in linear time', () => {
    const whole = bytes(answer('x'.repeat(20_000_000)));
    const chunks = Array.from({ length: Math.ceil(whole.length / 16_384) }, (_, index) =>
      whole.subarray(index * 16_384, (index + 1) * 16_384),
    );
    const { end, text } = read(chunks);
    expect({ end, length: text.length }).toEqual({ end: 'stop', length: 20_000_000 });
  });
});
