import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordedAnswers, wireBytes } from '../../../test/support/recorded-answers.js';
import { BlockedError, ModelCallError } from '../../core/errors.js';
import { Redactor } from '../../core/redact.js';
import type { ModelEvent } from '../chat-model.js';
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
    const finish = reader.finish();
    end = finish.type === 'finish' ? finish.finishReason : 'no finish';
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
      `${answer('a')}event: error\ndata: {"error":{"code":503,"message":"Overloaded."}}\n\n`,
      'a',
      'overloaded/model: undefined',
    ],
    ['an error event without JSON', 'event: error\ndata: oops\n\n', '', 'internal/call: undefined'],
    [
      'an error as a chunk',
      `${answer('a')}data: {"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}\n\n`,
      'a',
      'rate-limit/project-model: RESOURCE_EXHAUSTED',
    ],
    [
      'broken JSON',
      `${answer('a')}data: {"candidates": [{"con\n\n${answer('b')}`,
      'a',
      'incomplete/call: MALFORMED_JSON',
    ],
    [
      'half an event at the end',
      `${answer('a')}data: {"candidates": [{"con`,
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
    ['nothing', '', '', 'incomplete/call: EMPTY_REPLY'],
  ])('ends as expected on %s', (_, body, text, end) => {
    expect(read([bytes(body)])).toEqual({ text, thoughts: '', end });
  });

  const counted = (text: string, candidatesTokenCount: number) =>
    `data: ${JSON.stringify({
      candidates: [{ content: { parts: [{ text }] } }],
      usageMetadata: { candidatesTokenCount },
    })}\n\n`;

  it('reads a chunk that is sent twice once', () => {
    const body = `${counted('a', 1)}${counted('a', 1)}${counted('b', 2)}${counted('b', 2)}${answer('c')}`;
    expect(read([bytes(body)])).toEqual({ text: 'abc', thoughts: '', end: 'stop' });
  });

  it.each([
    ['that the answer grew by', `${counted('a', 1)}${counted('a', 2)}${answer('b')}`],
    ['without a count', `${answer('a')}${answer('a')}${answer('b')}`],
    ['without tokens of the answer', `${counted('a', 0)}${counted('a', 0)}${answer('b')}`],
  ])('shows alike chunks %s as often as they come', (_, body) => {
    expect(read([bytes(body)]).text).toBe('aab');
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
