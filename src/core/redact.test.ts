import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodings, sightings } from '../../test/support/planted-keys.js';
import { Redactor } from './redact.js';

/** Everything that an inspection could show of a value, hidden properties of errors included. */
const shown = (value: unknown) =>
  `${inspect(value, { depth: 20, showHidden: true })}${JSON.stringify(value)}`;

const eachSpecial = (text: string, write: (code: number) => string) =>
  text.replace(/[^A-Za-z0-9]/g, (character) => write(character.charCodeAt(0)));

const secretValues = fc.stringMatching(/^[A-Za-z0-9_.~+/-]{8,40}$/);
const shortTexts = fc.string({ maxLength: 12 });

describe('Redactor', () => {
  it.each([
    ["Consumer 'api_key:AIzaSyABCDEF123' has been suspended.", "Consumer 'api_key:***' has been suspended."],
    ['GET https://host/v1?key=secret-value&alt=sse failed', 'GET https://host/v1?key=***&alt=sse failed'],
    ['x-goog-api-key: abc.def is not a legal header', 'x-goog-api-key: *** is not a legal header'],
    ['token AQ.Ab8RN6KsdfHq0_1-x9 refused', 'token *** refused'],
    ['the monkey=banana stays', 'the monkey=banana stays'],
    ['no secret here', 'no secret here'],
  ])('knows what a key looks like: %s', (given, expected) => {
    expect(new Redactor().text(given)).toBe(expected);
  });

  it('removes the longer of two overlapping keys first, so that no tail is left', () => {
    expect(new Redactor(['abcdefgh', 'abcdefgh-tail']).text('saw abcdefgh-tail')).toBe('saw ***');
  });

  it('removes its own secrets, whatever others removed before', () => {
    const both = new Redactor(['secret-one', 'secret-two']);
    const joined = new Redactor(['secret-one\nsecret-two']);
    expect(both.text('secret-one secret-two')).toBe('*** ***');
    expect(joined.text('secret-one secret-two')).toBe('secret-one secret-two');
    expect(new Redactor([]).text('secret-one')).toBe('secret-one');
    expect(new Redactor(['secret-two', 'secret-one']).text('secret-one')).toBe('***');
  });

  it.each([
    ['as it is', (key: string) => key],
    ['in capitals', (key: string) => key.toUpperCase()],
    ['in a URL', encodeURIComponent],
    ['in a URL in a URL', (key: string) => encodeURIComponent(encodeURIComponent(key))],
    ['in a form', (key: string) => String(new URLSearchParams([[key, '']])).slice(0, -1)],
    ['in JSON', (key: string) => JSON.stringify(key).slice(1, -1)],
    ['in JSON in JSON', (key: string) => JSON.stringify(JSON.stringify(key)).slice(3, -3)],
    [
      'in JSON, by numbers',
      (key: string) => eachSpecial(key, (code) => `\\u${code.toString(16).padStart(4, '0')}`),
    ],
    ['in a URL, by numbers', (key: string) => eachSpecial(key, (code) => `%${code.toString(16)}`)],
    [
      'in HTML',
      (key: string) => key.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;'),
    ],
    ['in HTML, by numbers', (key: string) => eachSpecial(key, (code) => `&#${code};`)],
  ])('knows a secret %s, whatever characters it has', (_, write) => {
    for (const secret of ['AIzaSy-0_9', 'a b"c', 'x/+=\\\\y', `p"'<>&;%q`, '(.*)[^$]|{1}?', 'dots.and~more!'])
      expect(new Redactor([secret]).text(`before ${write(secret)} after`)).toBe('before *** after');
  });

  it('leaves words alone that somebody uses as a key in a test', () => {
    const text = 'a test of everything, with a fake key';
    expect(new Redactor(['a', 'e', 'test', '']).text(text)).toBe(text);
    expect(new Redactor(['a', 'e', 'test', '']).fragment(text)).toBe(text);
  });

  it('asks for the secrets on first use', () => {
    const secrets: string[] = [];
    const redactor = new Redactor(() => secrets);
    secrets.push('learned-later-1');
    expect(redactor.text('saw learned-later-1')).toBe('saw ***');
  });

  it('removes what a parse error quotes, which may be half a key', () => {
    const parse = () => JSON.parse('{"message": half-a-key-0123456789');
    let error: unknown;
    try {
      parse();
    } catch (thrown) {
      error = thrown;
    }
    expect(shown(error)).toContain('half-a');
    const clean = new Redactor(['half-a-key-0123456789-and-the-rest']).error(
      new Error('outside', { cause: error }),
    );
    expect(shown(clean)).not.toContain('half-a');
    expect((clean.cause as Error).message).toMatch(/^Unexpected token .* is not valid JSON$/);
  });

  it('removes a key anywhere: nested, as a property name, in JSON, in a URL, in a chain of causes', () => {
    const textWith = (secret: string) =>
      fc
        .tuple(
          shortTexts,
          shortTexts,
          fc.constantFrom(secret, encodeURIComponent(secret), JSON.stringify({ secret })),
        )
        .map(([before, after, form]) => `${before}${form}${after}`);
    const planted = secretValues.chain((secret) => {
      const text = textWith(secret);
      const value = fc.letrec((tie) => ({
        any: fc.oneof(
          { maxDepth: 4 },
          text,
          fc.array(tie('any'), { maxLength: 3 }),
          fc.dictionary(text, tie('any'), { maxKeys: 3 }),
          fc.tuple(text, tie('any')).map(([name, item]) => new Map([[name, item]])),
          fc.tuple(text, tie('any')).map(([message, cause]) => new TypeError(message, { cause })),
          fc.tuple(text, tie('any')).map(([message, cause]) => new AggregateError([cause], message)),
        ),
      })).any;
      return fc.tuple(fc.constant(secret), value);
    });
    fc.assert(
      fc.property(planted, ([secret, value]) => {
        const clean = new Redactor([secret]).value(value);
        expect(shown(clean)).not.toContain(secret);
        expect(shown(clean)).not.toContain(encodeURIComponent(secret));
      }),
      { numRuns: 300 },
    );
  });

  it('keeps the name, message, code and causes of an error', () => {
    const cause = Object.assign(new Error('read ECONNRESET by key-12345678'), { code: 'ECONNRESET' });
    const clean = new Redactor(['key-12345678']).error(new TypeError('fetch failed', { cause }));
    expect(clean).toMatchObject({
      name: 'TypeError',
      message: 'fetch failed',
      cause: { code: 'ECONNRESET', message: 'read ECONNRESET by ***' },
    });
  });

  it('copies circular values', () => {
    const loop: Record<string, unknown> = { key: 'key-12345678' };
    loop.self = loop;
    const clean = new Redactor(['key-12345678']).value(loop) as Record<string, unknown>;
    expect(clean.self).toBe(clean);
    expect(clean.key).toBe('***');
  });

  it('turns any thrown value into an error', () => {
    expect(new Redactor(['key-12345678']).error('bad key-12345678').message).toBe('bad ***');
  });

  it('removes the beginning of a key from the end of a text that was cut off', () => {
    const key = 'k3y-with +<special>/ "characters" \\end';
    const redactor = new Redactor([key]);
    for (const encode of [String, encodeURIComponent, (text: string) => JSON.stringify(text).slice(1, -1)])
      for (let length = 5; length <= encode(key).length; length++) {
        const shown = redactor.fragment(`refused: ${encode(key).slice(0, length)}`);
        expect(shown).toBe('refused: ***');
      }
    expect(redactor.fragment('The k3y was refused')).toBe('The k3y was refused');
  });

  it.each(['', 'api_key:', 'x?key=', 'x-goog-api-key: '])(
    'removes the beginning of an escaped key after what announces a key: %j',
    (announced) => {
      const keys = ['AQ.Ab8RN6-RAOJdinpdl_PG5auqzokHP0UFy6jeWGwhNIVQWQLV0', 'Ab8RN6RA;x<&"y%z 0123456789'];
      const redactor = new Redactor(keys);
      for (const key of keys) {
        for (const [name, encode] of Object.entries(encodings)) {
          const written = encode(key);
          for (let length = 5; length <= written.length; length++) {
            const shown = redactor.fragment(`refused: ${announced}${written.slice(0, length)}`);
            expect(sightings(shown, keys), `${name}, ${length} characters`).toEqual([]);
          }
        }
      }
    },
  );

  it('removes the user name and the password of a URL', () => {
    const said = 'fetch failed: https://user:p@ss@host:8080/v1?a=b@c and http://token@host';
    expect(new Redactor().text(said)).toBe(
      'fetch failed: https://***@host:8080/v1?a=b@c and http://***@host',
    );
  });
});
