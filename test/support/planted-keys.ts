import fc from 'fast-check';
import { seededRandom } from './seeded-random.js';

const wordCharacters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const visibleCharacters = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).join('');

const shapes: readonly ((draw: (alphabet: string, length: number) => string) => string)[] = [
  (draw) => `AIzaSy${draw(`${wordCharacters}_-`, 33)}`,
  (draw) => `AQ.Ab8RN6${draw(`${wordCharacters}_-`, 44)}`,
  (draw) => draw(wordCharacters, 24),
  // Future keys may hold whatever a header can hold.
  (draw) => draw(visibleCharacters, 40),
  (draw) => `${draw(visibleCharacters, 12)} ${draw('"\\/&<>%+=\'`', 12)}${draw(wordCharacters, 12)}`,
];

/** A key of a known or possible shape. Its characters come from a seed, so that it cannot shrink to a word. */
export const keyValue: fc.Arbitrary<string> = fc
  .record({ shape: fc.constantFrom(...shapes), seed: fc.nat({ max: 0xffff_ffff }) })
  .map(({ shape, seed }) => {
    const random = seededRandom(seed);
    const draw = (alphabet: string, length: number) =>
      Array.from({ length }, () => alphabet[Math.floor(random() * alphabet.length)]).join('');
    return shape(draw);
  });

const hexadecimal = (character: string, digits: number) =>
  (character.codePointAt(0) ?? 0).toString(16).padStart(digits, '0');
const eachSpecial = (text: string, write: (character: string) => string) =>
  text.replace(/[^A-Za-z0-9]/g, write);
const asJson = (text: string) => JSON.stringify(text).slice(1, -1);
const htmlNames: Readonly<Record<string, string>> = {
  '"': '&quot;',
  '&': '&amp;',
  "'": '&#39;',
  '<': '&lt;',
  '>': '&gt;',
};
const asHtml = (text: string) => text.replace(/["&'<>]/g, (character) => htmlNames[character] ?? character);

/** How a service or a proxy may escape a key. */
export const encodings: Readonly<Record<string, (key: string) => string>> = {
  'as it is': (key) => key,
  'for a URL': encodeURIComponent,
  'for a form': (key) => new URLSearchParams({ key }).toString().slice('key='.length),
  'for a URL, twice': (key) => encodeURIComponent(encodeURIComponent(key)),
  'for a URL, every special character': (key) =>
    eachSpecial(key, (character) => `%${hexadecimal(character, 2)}`),
  'for JSON': asJson,
  'for JSON in JSON': (key) => asJson(asJson(key)),
  'for JSON, every special character': (key) =>
    eachSpecial(key, (character) => `\\u${hexadecimal(character, 4)}`),
  'for HTML': asHtml,
  'for HTML, by numbers': (key) => eachSpecial(key, (character) => `&#x${hexadecimal(character, 2)};`),
  'for HTML, a URL': (key) => asHtml(encodeURIComponent(key)),
};

/** Where in a sentence a service or a proxy may put a key. */
export const carriers: Readonly<Record<string, (key: string) => string>> = {
  alone: (key) => key,
  consumer: (key) => `Permission denied: Consumer 'api_key:${key}' has been suspended.`,
  sentence: (key) => `API key not valid: ${key}. Please pass a valid API key.`,
  url: (key) =>
    `POST https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse&key=${key}&prettyPrint=false failed`,
  headers: (key) => `host: example\r\nx-goog-api-key: ${key}\r\nauthorization: Bearer ${key}\r\naccept: */*`,
  json: (key) => `{"config":{"apiKey":"${key}"},"retry":false}`,
  'far into a sentence': (key) => `${'The request was refused. '.repeat(11)}It was made with ${key} today.`,
  'far into a word': (key) => `${'x'.repeat(280)}${key}`,
};

const fragmentLength = 8;

const decoders: readonly ((text: string) => string)[] = [
  (text) =>
    text.replace(/%([0-9a-f]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))),
  (text) =>
    text.replace(/\\u([0-9a-f]{4})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))),
  (text) => text.replace(/\\(["\\/])/g, '$1'),
  (text) =>
    text.replace(/&#x([0-9a-f]+);/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))),
  (text) =>
    Object.entries(htmlNames).reduce((plain, [character, name]) => plain.replaceAll(name, character), text),
];

/** The text, and its readings with every kind of escape decoded, up to three deep. */
function readings(text: string): readonly string[] {
  const found = new Set([text]);
  for (let depth = 0; depth < 3; depth++)
    for (const reading of [...found]) for (const decode of decoders) found.add(decode(reading));
  return [...found];
}

/**
 * The pieces of keys in a text, in any escape: 8 characters in a row are a piece, so that a masked key,
 * which shows its last four, is none.
 */
export function sightings(text: string, keys: readonly string[]): readonly string[] {
  const seen = readings(text).join('\n');
  const fragmentsOf = (key: string) =>
    Array.from({ length: key.length - fragmentLength + 1 }, (_, at) => key.slice(at, at + fragmentLength));
  return [...new Set(keys.flatMap(fragmentsOf))].filter((fragment) => seen.includes(fragment));
}
