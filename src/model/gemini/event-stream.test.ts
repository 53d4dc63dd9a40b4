import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventStreamDecoder } from './event-stream.js';

function decode(...chunks: readonly Uint8Array[]) {
  const decoder = new EventStreamDecoder();
  const events = chunks.flatMap((chunk) => [...decoder.push(chunk)]);
  return { events: [...events, ...decoder.end()], unframed: decoder.unframed };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const messages = (...data: readonly string[]) => data.map((text) => ({ name: 'message', data: text }));

describe('EventStreamDecoder', () => {
  it.each([
    ['LF', 'data: a\n\ndata: b\n\n', messages('a', 'b')],
    ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', messages('a', 'b')],
    ['no space after the colon', 'data:a\n\n', messages('a')],
    ['several data lines', 'data: a\ndata: b\n\n', messages('a\nb')],
    ['comments and other fields', ': ping\nid: 7\nretry: 10\ndata: a\n\n', messages('a')],
    ['a last event without its empty line', 'data: a\n\ndata: b', messages('a', 'b')],
    [
      'an event with a name',
      'event: error\ndata: a\n\ndata: b\n\n',
      [{ name: 'error', data: 'a' }, ...messages('b')],
    ],
    ['a byte order mark', '\uFEFFdata: a\n\n', messages('a')],
    ['nothing', '', []],
  ])('reads %s', (_, text, events) => {
    expect(decode(bytes(text))).toEqual({ events, unframed: '' });
  });

  it('keeps text outside of events', () => {
    const { events, unframed } = decode(bytes('data: a\n\n{\n  "error": {\n\n  }\n}\n'));
    expect(events).toEqual(messages('a'));
    expect(JSON.parse(unframed)).toEqual({ error: {} });
  });

  it('returns the same events wherever the bytes are cut', () => {
    const texts = fc.array(
      fc.string({ unit: 'grapheme' }).filter((text) => !/[\r\n]/.test(text) && !text.startsWith('\uFEFF')),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(texts, fc.array(fc.nat()), (data, cuts) => {
        const whole = bytes(data.map((text) => `data: ${text}\r\n\r\n`).join(''));
        const places = [...new Set(cuts.map((cut) => cut % (whole.length + 1)))].sort((a, b) => a - b);
        const chunks = [0, ...places].map((from, index) => whole.subarray(from, places[index]));
        expect(decode(...chunks).events).toEqual(messages(...data));
      }),
    );
  });
});
