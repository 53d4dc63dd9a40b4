import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventStreamDecoder } from './event-stream.js';

function decode(...chunks: readonly Uint8Array[]) {
  const decoder = new EventStreamDecoder();
  const events = chunks.flatMap((chunk) => [...decoder.push(chunk)]);
  return { events: [...events, ...decoder.end()], other: decoder.other, isHalf: decoder.isInsideObject };
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
    expect(decode(bytes(text))).toEqual({ events, other: '', isHalf: false });
  });

  it.each([
    ['after events', 'data: a\n\n{\n  "x": {\n\n  }\n}\n', messages('a', '{\n  "x": {\n\n  }\n}')],
    ['in a list', '[{"a": "}"}\n,\r\n{"b": "\\"{"}]', messages('{"a": "}"}', '{"b": "\\"{"}')],
    ['one a line', '{"a":1}\n{"b":2}\n', messages('{"a":1}', '{"b":2}')],
    ['alone', '{"a":{"b":[1]}}', messages('{"a":{"b":[1]}}')],
  ])('reads JSON objects outside of events: %s', (_, text, events) => {
    const whole = bytes(text);
    const single = Array.from(whole, (_, index) => whole.subarray(index, index + 1));
    for (const chunks of [[whole], single])
      expect(decode(...chunks)).toEqual({ events, other: '', isHalf: false });
  });

  it('reads each object of a list as it comes', () => {
    const decoder = new EventStreamDecoder();
    expect(decoder.push(bytes('[{"a":1},'))).toEqual(messages('{"a":1}'));
    expect(decoder.push(bytes('{"b":2}'))).toEqual(messages('{"b":2}'));
  });

  it('says whether an object was cut off', () => {
    expect(decode(bytes('[{"a":1},{"b"')).isHalf).toBe(true);
  });

  it('keeps a page, braces in it included', () => {
    const page = '<html><style>a { b: c }</style>\n<p>No.</p></html>';
    expect(decode(bytes(page))).toMatchObject({ events: [], other: page });
  });

  it.each([
    [': ping\n\n', false],
    ['id: 7\nretry: 3\n', false],
    ['data: {', true],
    ['data: {}\n\n', true],
    ['{', true],
    ['\n\n', false],
  ])('tells progress from keep-alives: %j', (text, hasProgress) => {
    const decoder = new EventStreamDecoder();
    decoder.push(bytes(text));
    expect(decoder.hasProgress).toBe(hasProgress);
  });

  it('counts further bytes of a long line as progress, and further bytes of a comment not', () => {
    for (const [start, hasProgress] of [
      ['data: "x', true],
      [': waiting', false],
    ] as const) {
      const decoder = new EventStreamDecoder();
      decoder.push(bytes(start));
      decoder.push(bytes('more'));
      expect(decoder.hasProgress).toBe(hasProgress);
    }
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
