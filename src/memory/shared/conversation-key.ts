import { createHash } from 'node:crypto';

/**
 * The key under which a name is stored: the SHA-256 of its UTF-16 code units. Names are opaque:
 * names that look alike, normalize alike, hold NUL or broken surrogates, or are very long neither
 * collide nor reach a path or a query. UTF-8 would fold all lone surrogates into one.
 */
export function nameKey(name: string): Buffer {
  return createHash('sha256').update(Buffer.from(name, 'utf16le')).digest();
}
