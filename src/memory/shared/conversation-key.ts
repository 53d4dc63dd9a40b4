import { createHash } from 'node:crypto';
import type { Conversation, Turn } from '../../core/turn.js';

/**
 * The key under which a name is stored: the SHA-256 of its UTF-16 code units. Names are opaque:
 * names that look alike, normalize alike, hold NUL or broken surrogates, or are very long neither
 * collide nor reach a path or a query. UTF-8 would fold all lone surrogates into one.
 */
export function nameKey(name: string): Buffer {
  return createHash('sha256').update(Buffer.from(name, 'utf16le')).digest();
}

/** The key of several names together, as text. */
export function namesKey(...names: readonly string[]): string {
  const hash = createHash('sha256');
  // Each part has a fixed length, so ('a', 'bc') and ('ab', 'c') differ.
  for (const name of names) hash.update(nameKey(name));
  return hash.digest('hex');
}

export const conversationKey = ({ tenant, sessionId }: Conversation): string => namesKey(tenant, sessionId);

/** The same id in another conversation is another turn. */
export const turnId = ({ tenant, sessionId, id }: Conversation & Pick<Turn, 'id'>): string =>
  namesKey(tenant, sessionId, id);
