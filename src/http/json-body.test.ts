import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HttpError } from './http-error.js';
import { JsonBody } from './json-body.js';

const bounds = { maxTextChars: 100_000, maxOtherBytes: 500_000, maxFiles: 4 };

/** The body as it was sent, in pieces that end at these places. */
function read(text: string, cuts: readonly number[] = []): JsonBody {
  const bytes = Buffer.from(text);
  const body = new JsonBody(bounds);
  const places = [...cuts.map((cut) => cut % bytes.length), bytes.length].sort((a, b) => a - b);
  places.reduce((from, to) => {
    body.add(bytes.subarray(from, to));
    return to;
  }, 0);
  return body;
}

/** The value, with each file encoded again. */
function asSent(body: JsonBody): unknown {
  const put = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(put);
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, put(item)]));
    const file = typeof value === 'string' ? body.files.get(value)?.file : undefined;
    return file === undefined ? value : Buffer.concat([...(file.end()?.pieces ?? [])]).toString('base64');
  };
  return put(body.end());
}

const escapes: Readonly<Record<string, (base64: string) => string>> = {
  none: (base64) => base64,
  'those of PHP': (base64) => base64.replaceAll('/', '\\/'),
  'those of .NET': (base64) => base64.replaceAll('+', '\\u002B').replaceAll('/', '\\u002f'),
  all: (base64) =>
    base64.replace(/[\s\S]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`),
};

describe('JsonBody', () => {
  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\\', '\\\\"', '"', '\\u0022', 'A'.repeat(65_530)),
  );
  const anyBytes = fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 120_000 }))
    .map(([piece, length]) => Buffer.alloc(length, piece));

  it('reads any JSON like JSON.parse, but for long files, wherever it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyText, { maxLength: 4 }),
        fc.array(anyBytes, { maxLength: 3 }),
        fc.constantFrom(...Object.keys(escapes)),
        fc.array(fc.nat(), { maxLength: 12 }),
        (texts, files, form, cuts) => {
          const media = files.map((bytes) => `"${escapes[form]?.(bytes.toString('base64'))}"`);
          const text = `{"a":${JSON.stringify(texts)}, "media" : [${media.join()}]}`;
          const body = read(text, cuts);
          const isLong = (at: number) => (media[at]?.length ?? 0) > 65_538;
          const sent = { a: texts, media: files.map((bytes) => bytes.toString('base64')) };
          expect(asSent(body)).toEqual(sent);
          expect(body.files.size).toBe(files.filter((_, at) => isLong(at)).length);
        },
      ),
      { numRuns: 40 },
    );
  });

  it.each([
    ['plain', 'QUJD'.repeat(20_000)],
    ['a data: URL', `data:image/png;base64,${'QUJD'.repeat(20_000)}`],
  ])('knows what a text was that looks like a file: %s', (_, text) => {
    const body = read(JSON.stringify({ prompt: text }), [70_000]);
    const [file] = body.files.values();
    const mimeType = text.startsWith('data:') ? 'image/png' : undefined;
    expect([file?.text, file?.file.mimeType]).toEqual([text, mimeType]);
  });

  it('keeps no text that is too long for a field', () => {
    const [file] = read(`"${'QUJD'.repeat(30_000)}"`, [80_000, 99_000]).files.values();
    expect([file?.text, file?.file.length]).toEqual([undefined, 120_000]);
  });

  it.each([
    ['other characters', `${'QUJD'.repeat(20_000)}!!!!`],
    ['padding in the middle', `${'QUJD'.repeat(20_000)}QQ==QUJD`],
    ['a length that base64 cannot have', 'QUJD'.repeat(20_000).slice(1)],
    ['a line break', `${'QUJD'.repeat(20_000)}\\n`],
    ['half an escape', `${'QUJD'.repeat(20_000)}\\u00`],
  ])('has no bytes for %s', (_, text) => {
    const [file] = read(`"${text}"`, [70_000, 79_999]).files.values();
    expect(file?.file.end()).toBeUndefined();
  });

  it.each([
    ['values', `[${'1,'.repeat(30_000)}1]`],
    ['texts', '""'.repeat(30_000)],
    ['depth', '['.repeat(30_000)],
  ])('refuses too many %s', (_, text) => {
    expect(() => read(text)).toThrow(HttpError);
  });

  it.each([
    ['blanks', ' '.repeat(1_000_000)],
    ['a long text', `"${'no file '.repeat(120_000)}"`],
    ['many texts', `[${`"${'no file '.repeat(8_000)}",`.repeat(20)}1]`],
  ])('refuses too many bytes of %s', (_, text) => {
    expect(() => read(text, [70_000, 140_000, 500_000])).toThrow(/larger than 500000 bytes/);
  });

  it.each(['{', '{"a":1}}', '', `{"a":"${'QUJD'.repeat(20_000)}`])(
    'refuses what is no JSON: %.20s',
    (text) => {
      expect(() => read(text, []).end()).toThrow('not valid JSON');
    },
  );
});
