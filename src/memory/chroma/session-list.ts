import { titleOf } from '../../core/session-title.js';
import type { SessionPage, StoredSession } from '../memory-store.js';
import { conversationKey } from '../shared/conversation-key.js';
import { parseTurn } from '../shared/turn-body.js';
import type { ChromaTurns } from './chroma-turns.js';
import type { RecordScope } from './scope.js';

interface Listed {
  readonly key: string;
  turns: number;
  firstAt: number;
  lastAt: number;
  /** The place and the id of the first turn. */
  first: { readonly order: number; readonly id: string };
}

const byLatest = (a: Listed, b: Listed) => b.lastAt - a.lastAt || (a.key < b.key ? -1 : 1);

/**
 * Chroma neither groups nor sorts, so the metadata of all turns of the tenant are read, and the first turns of
 * the conversations on the page.
 */
export async function listSessions(
  records: ChromaTurns,
  tenant: string,
  { before, limit, signal }: SessionPage,
): Promise<readonly StoredSession[]> {
  const byKey = new Map<string, Listed>();
  for await (const page of records.scopes(tenant, signal)) {
    for (const { id, scope } of page) note(byKey, id, scope);
  }
  const key = before?.sessionId && conversationKey({ tenant, sessionId: before.sessionId });
  const isAfter = (session: Listed) =>
    before === undefined ||
    session.lastAt < before.lastAt ||
    (session.lastAt === before.lastAt && key !== undefined && session.key > key);
  const listed = [...byKey.values()].filter(isAfter).sort(byLatest).slice(0, limit);
  const bodies = await records.bodies(
    listed.map(({ first }) => first.id),
    signal,
  );
  // A conversation whose first turn was forgotten meanwhile is left out.
  return listed.flatMap(({ first, firstAt, lastAt, turns }) => {
    const body = bodies.get(first.id);
    if (body === undefined) return [];
    const { prompt, sessionId } = parseTurn(body);
    return [{ sessionId, title: titleOf(prompt), turns, firstAt, lastAt }];
  });
}

function note(byKey: Map<string, Listed>, id: string, scope: RecordScope): void {
  const { conversation: key, created_at: at, order } = scope;
  const known = byKey.get(key);
  if (known === undefined) {
    byKey.set(key, { key, turns: 1, firstAt: at, lastAt: at, first: { order, id } });
    return;
  }
  known.turns += 1;
  known.firstAt = Math.min(known.firstAt, at);
  known.lastAt = Math.max(known.lastAt, at);
  if (order < known.first.order) known.first = { order, id };
}
