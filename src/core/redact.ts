import { escapedForms } from './escaped-forms.js';

const replacement = '***';

/**
 * What a Gemini key looks like inside a sentence, a URL or a header. Google echoes keys in some error
 * bodies (`Consumer 'api_key:AIza…' has been suspended`).
 */
const keyPatterns: readonly (readonly [RegExp, string])[] = [
  [/AIza[\w-]+/g, replacement],
  [/\bAQ\.[\w-]{16,}/g, replacement],
  [/\b(api_key:\s*)[^\s'",;}\]]+/gi, `$1${replacement}`],
  [/\b((?:api_?)?key=)[^\s'"&;<>}\]]+/gi, `$1${replacement}`],
  // User name and password of a URL.
  [/\b([a-z][a-z\d+.-]*:\/\/)[^\s/?#'"<>]+@/gi, `$1${replacement}@`],
  [/\b(x-goog-api-key["']?\s*[:=]\s*["']?)[^\s'",;}\]]+/gi, `$1${replacement}`],
];

function withoutLookalikes(value: string): string {
  if (!keyHint.test(value)) return value;
  return keyPatterns.reduce((text, [pattern, substitute]) => text.replace(pattern, substitute), value);
}

/** Shorter values are letters and words, such as `test`; without them, no sentence could be read. */
const minSecretLength = 5;

const isSecret = (value: string) => value.length >= minSecretLength;

/** What every one of the patterns needs: most texts are done with one look. */
const keyHint = /AIza|AQ\.|key|:\/\//i;

/** A pool has the same secrets at each call, and compiling them takes longer than using them. */
let latest = { secrets: '[]', pattern: /(?!)/g };

/** A key that contains another must be tried first, or its tail would stay. */
function patternOf(secrets: readonly string[]): RegExp {
  const known = [...new Set(secrets)]
    .filter(isSecret)
    .sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const all = JSON.stringify(known);
  if (all !== latest.secrets) {
    const source = known.length === 0 ? '(?!)' : known.map(escapedForms).join('|');
    latest = { secrets: all, pattern: new RegExp(source, 'gi') };
  }
  return latest.pattern;
}

/** Fewer characters of a key tell nothing. */
const minFragment = 4;

/** Matches the beginning of a secret at the end of a text, also if it ends within an escaped character. */
function beginningOf(secret: string): string {
  const units = secret.match(/\\+|[\s\S]/gu) ?? [];
  const [head, tail] = [units.slice(0, minFragment), units.slice(minFragment)];
  const rest = tail.reduceRight((longer, unit) => `(?:${escapedForms(unit)}${longer})?`, '');
  return `${head.map(escapedForms).join('')}${rest}[\\\\%&#;\\w]{0,8}$`;
}

/** JSON parse errors quote some of their input, which may be half a key that no pattern matches. */
const withoutQuotation = (text: string) => text.replace(/(?:\.\.\.)?"[\s\S]*"(?:\.\.\.)?/, '"…"');

/** Causes are errors of libraries: where they were thrown is told by the first frames, and many fill the screen. */
const shownFrames = 4;

function shortStack({ stack = '' }: Error): string {
  let frames = 0;
  const isShown = (line: string) => !/^\s+at /.test(line) || ++frames <= shownFrames;
  return String(stack).split('\n').filter(isShown).join('\n');
}

/**
 * Removes key values from what is thrown, logged or stored: the given `secrets`, in any escaped form,
 * and anything that looks like a Gemini key.
 */
export class Redactor {
  readonly #secrets: () => readonly string[];
  #pattern: RegExp | undefined;

  /** @param secrets The values to remove, or a function that returns them on first use. */
  constructor(secrets: readonly string[] | (() => readonly string[]) = []) {
    this.#secrets = typeof secrets === 'function' ? secrets : () => secrets;
  }

  text(value: string): string {
    return withoutLookalikes(this.#withoutSecrets(value));
  }

  /** The same for text that may have been cut off inside a key. */
  fragment(value: string): string {
    const known = this.#secrets().filter(isSecret);
    // Before the lookalikes: they may end in the middle of an escaped key, whose beginning is then not seen.
    const clean = known.reduce(
      (text, secret) => text.replace(new RegExp(beginningOf(secret), 'i'), replacement),
      this.#withoutSecrets(value),
    );
    return withoutLookalikes(clean);
  }

  /** A copy of any value without keys in it. Errors become plain `Error`s, other classes plain objects. */
  value(value: unknown): unknown {
    return this.#copy(value, new Map());
  }

  /** A plain `Error` with the same name, message, stack, code and causes, none of them holding a key. */
  error(error: unknown): Error {
    const clean = this.value(error);
    return clean instanceof Error ? clean : new Error(this.text(String(error)));
  }

  #withoutSecrets(value: string): string {
    this.#pattern ??= patternOf(this.#secrets());
    return value.replace(this.#pattern, replacement);
  }

  #copy(value: unknown, seen: Map<object, unknown>): unknown {
    if (typeof value === 'string') return this.text(value);
    if (typeof value === 'function' || typeof value === 'symbol') return this.text(String(value));
    if (typeof value !== 'object' || value === null) return value;
    const known = seen.get(value);
    if (known !== undefined) return known;
    if (value instanceof Error) return this.#copyError(value, seen);
    if (Array.isArray(value)) {
      const list: unknown[] = [];
      seen.set(value, list);
      for (const item of value) list.push(this.#copy(item, seen));
      return list;
    }
    const object: Record<string, unknown> = {};
    seen.set(value, object);
    const entries =
      value instanceof Map || value instanceof Headers ? value.entries() : Object.entries(value);
    for (const [name, item] of entries) {
      Object.defineProperty(object, this.text(String(name)), {
        value: this.#copy(item, seen),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return object;
  }

  #copyError(error: Error, seen: Map<object, unknown>): Error {
    const say = (text: string) => this.text(error instanceof SyntaxError ? withoutQuotation(text) : text);
    const clean = new Error(say(String(error.message)));
    seen.set(error, clean);
    const hidden = (name: string, value: unknown) =>
      Object.defineProperty(clean, name, { value, enumerable: false, configurable: true, writable: true });
    hidden('name', this.text(String(error.name)));
    hidden('stack', say(shortStack(error)));
    if ('code' in error) hidden('code', this.#copy(error.code, seen));
    if (error.cause !== undefined) hidden('cause', this.#copy(error.cause, seen));
    // A refused connection to a host with several addresses says why only here.
    if (error instanceof AggregateError) hidden('errors', this.#copy(error.errors, seen));
    return clean;
  }
}
