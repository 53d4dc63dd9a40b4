import type { Conversation, Turn } from '../../core/turn.js';
import type { ConversationSummary } from '../memory-store.js';
import { parseTurn } from '../shared/turn-body.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, lastKey } from './schema.js';
import { findKey, findSession } from './turn-records.js';

/** The statements on summaries. Each function runs inside a transaction of its caller. */

interface KeptSummary {
  readonly summary: ConversationSummary;
  /** The key of the last turn that it covers. */
  readonly last: number;
}

export function readSummary(database: MemoryDatabase, of: Conversation): ConversationSummary | undefined {
  const session = findSession(database, of);
  return session && findSummary(database, session.id)?.summary;
}

/** At most `limit` turns that the summary does not cover, oldest first. */
export function turnsAfterSummary(database: MemoryDatabase, of: Conversation, limit: number): Turn[] {
  const session = findSession(database, of);
  if (!session) return [];
  const rows = database.all(
    { body: 'text' },
    'FROM turns WHERE key > ? AND key <= ? ORDER BY key LIMIT ?',
    lastCovered(session.id, findSummary(database, session.id)),
    lastKey(session.id),
    Math.max(0, limit),
  );
  return rows.map(({ body }) => parseTurn(body));
}

/** Returns whether it was kept: not if it counts forgotten turns or covers no more than the stored one. */
export function keepSummary(
  database: MemoryDatabase,
  of: Conversation,
  summary: ConversationSummary,
): boolean {
  const session = findSession(database, of);
  if (!session) return false;
  const last = findKey(database, session.id, summary.lastTurn);
  const known = findSummary(database, session.id);
  const knownTurns = known?.summary.turns ?? 0;
  if (last === undefined || summary.turns <= knownTurns) return false;
  const added = database.first(
    { turns: 'integer:count(*)' },
    'FROM turns WHERE key > ? AND key <= ?',
    lastCovered(session.id, known),
    last,
  );
  if (knownTurns + (added?.turns ?? 0) !== summary.turns) return false;
  database.run(
    'INSERT OR REPLACE INTO summaries (session, last, body) VALUES (?, ?, ?)',
    session.id,
    last,
    JSON.stringify(summary),
  );
  return true;
}

function findSummary(database: MemoryDatabase, session: number): KeptSummary | undefined {
  const row = database.first({ last: 'integer', body: 'text' }, 'FROM summaries WHERE session = ?', session);
  return row && { last: row.last, summary: JSON.parse(row.body) };
}

const lastCovered = (session: number, known: KeptSummary | undefined): number =>
  known?.last ?? firstKey(session) - 1;
