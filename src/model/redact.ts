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
  [/\b(x-goog-api-key["']?\s*[:=]\s*["']?)[^\s'",;}\]]+/gi, `$1${replacement}`],
];

/** The forms in which a key can stand in a text: as it is, in a URL, inside JSON. */
function formsOf(secret: string): readonly string[] {
  const escaped = JSON.stringify(secret).slice(1, -1);
  return [secret, encodeURIComponent(Buffer.from(secret).toString()), escaped];
}

/**
 * Removes key values from what is thrown, logged or stored: the given `secrets`, and anything that
 * looks like a Gemini key.
 */
export class Redactor {
  readonly #secrets: readonly string[];

  constructor(secrets: readonly string[] = []) {
    // A key that contains another must go first, or its tail would stay.
    this.#secrets = [...new Set(secrets.filter((secret) => secret !== '').flatMap(formsOf))].sort(
      (a, b) => b.length - a.length,
    );
  }

  text(value: string): string {
    let clean = value;
    for (const secret of this.#secrets) clean = clean.replaceAll(secret, replacement);
    for (const [pattern, substitute] of keyPatterns) clean = clean.replace(pattern, substitute);
    return clean;
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
    const clean = new Error(this.text(String(error.message)));
    seen.set(error, clean);
    const hidden = (name: string, value: unknown) =>
      Object.defineProperty(clean, name, { value, enumerable: false, configurable: true, writable: true });
    hidden('name', this.text(String(error.name)));
    hidden('stack', this.text(String(error.stack ?? '')));
    if ('code' in error) hidden('code', this.#copy(error.code, seen));
    if (error.cause !== undefined) hidden('cause', this.#copy(error.cause, seen));
    // A refused connection to a host with several addresses says why only here.
    if (error instanceof AggregateError) hidden('errors', this.#copy(error.errors, seen));
    return clean;
  }
}
