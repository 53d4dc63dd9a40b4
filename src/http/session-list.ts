import { InvalidInputError, type StoredSession } from '../index.js';
import { dateOf } from './deletion-range.js';
import { HttpError } from './http-error.js';
import type { HttpRequest } from './http-messages.js';
import { limitOf } from './limit-of.js';
import type { ServedChat } from './served-chat.js';
import { seconds } from './wire-values.js';

/** A page of the tenant's conversations; `next` is the `before` of the page after it, null if this is the last. */
export async function listSessions(chat: ServedChat, tenant: string, request: HttpRequest): Promise<object> {
  if (chat.sessions === undefined) {
    throw new HttpError(404, 'NOT_FOUND', 'There is nothing at this path.');
  }
  const { searchParams } = new URL(request.url);
  for (const name of searchParams.keys()) {
    if (name !== 'limit' && name !== 'before') {
      throw new InvalidInputError(`The parameter \`${name}\` is not known here. Use limit and before only.`);
    }
  }
  const limit = limitOf(request);
  const before = positionOf(searchParams.get('before'));
  // One more tells whether there is a page after this one.
  const found = await chat.sessions({ tenant, limit: limit + 1, before, signal: request.signal });
  const sessions = found.slice(0, limit);
  const last = found.length > limit ? sessions.at(-1) : undefined;
  return { sessions: sessions.map(wireSession), next: last === undefined ? null : tokenOf(last) };
}

const wireSession = ({ firstAt, lastAt, sessionId, title, turns }: StoredSession): object => ({
  session_id: sessionId,
  title,
  turns,
  first_at: seconds(firstAt),
  last_at: seconds(lastAt),
});

type Position = Pick<StoredSession, 'lastAt' | 'sessionId'>;

/** The name as UTF-16, since half a surrogate pair has no UTF-8. */
const tokenOf = ({ lastAt, sessionId }: Position) =>
  `${lastAt}.${Buffer.from(sessionId, 'utf16le').toString('base64url')}`;

function positionOf(token: string | null): Position | Date | undefined {
  if (token === null) return undefined;
  const date = dateOf(token);
  if (date !== undefined) return date;
  const [, lastAt, name = ''] = /^(\d{1,16})\.([\w-]+)$/.exec(token) ?? [];
  if (lastAt === undefined) {
    throw new InvalidInputError('`before` must be the `next` of the page before, unchanged, or a date.');
  }
  return { lastAt: Number(lastAt), sessionId: Buffer.from(name, 'base64url').toString('utf16le') };
}
