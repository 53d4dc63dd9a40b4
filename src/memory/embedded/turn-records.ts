import type { Conversation, Turn } from '../../core/turn.js';
import { nameKey } from '../shared/conversation-key.js';
import { parseTurn, type SerializedTurn } from '../shared/turn-body.js';
import type { RowOf } from './columns.js';
import { DamagedFileError } from './explain-failure.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, lastKey, sequenceOf, turnKey } from './schema.js';
import type { SessionState } from './session-state.js';

/** A turn as it is stored: as JSON, and as the ranking reads it. */
export interface IndexedTurn extends SerializedTurn {
  readonly terms: string;
  /** Whether it replaces a stored turn with its id. */
  readonly replace: boolean;
}

/** The statements on sessions and turns. Each function runs inside a transaction of its caller. */

const sessionColumns = {
  id: 'integer',
  next_sequence: 'integer',
  last_sequence: 'integer',
  turns: 'integer',
  epoch: 'integer',
  vector_version: 'integer',
} as const;

/** The numbers of a conversation by both indexes. */
const indexedIds = {
  id: 'integer:(SELECT id FROM sessions INDEXED BY sqlite_autoindex_sessions_1 WHERE tenant = ?1 AND name = ?2)',
  same: 'integer:(SELECT id FROM sessions INDEXED BY sessions_by_name WHERE tenant = ?1 AND name = ?2)',
} as const;

/**
 * In a damaged index a conversation may be missing, or be found as another one: both indexes and the row must
 * agree.
 *
 * @throws DamagedFileError
 */
export function findSession(database: MemoryDatabase, of: Conversation): SessionState | undefined {
  const names = [nameKey(of.tenant), nameKey(of.sessionId)];
  const { id, same } = database.first(indexedIds, '', ...names) as RowOf<typeof indexedIds>;
  if (id === 0 && same === 0) return undefined;
  const rest = 'FROM sessions NOT INDEXED WHERE id = ?3 AND tenant = ?1 AND name = ?2';
  const session = id === same ? database.first(sessionColumns, rest, ...names, id) : undefined;
  if (session === undefined) throw new DamagedFileError('the indexes of the conversations differ');
  return session;
}

/** A known id changes nothing, unless it is to be replaced. */
export function insertTurn(database: MemoryDatabase, indexed: IndexedTurn): void {
  const { turn, body, terms } = indexed;
  let session = findSession(database, turn);
  if (!session) {
    const { tenant, sessionId } = turn;
    database.run('INSERT INTO sessions (tenant, name) VALUES (?, ?)', nameKey(tenant), nameKey(sessionId));
    session = findSession(database, turn) as SessionState;
  }
  const key = turnKey(session.id, session.next_sequence);
  const added = database.run(
    'INSERT INTO turns (key, session, id, created_at, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (session, id) DO NOTHING',
    key,
    session.id,
    nameKey(turn.id),
    turn.createdAt,
    body,
  );
  if (added === 0) {
    if (indexed.replace) replaceTurn(database, session.id, indexed);
    return;
  }
  database.run('INSERT INTO terms (key, line) VALUES (?, ?)', key, terms);
  database.run(
    `UPDATE sessions SET last_sequence = next_sequence, next_sequence = next_sequence + 1, turns = turns + 1,
       first_at = CASE WHEN turns = 0 THEN ?1 ELSE min(first_at, ?1) END, last_at = max(last_at, ?1)
     WHERE id = ?2`,
    turn.createdAt,
    session.id,
  );
}

function replaceTurn(database: MemoryDatabase, session: number, { turn, body, terms }: IndexedTurn): void {
  const key = findKey(database, session, turn.id);
  database.run(
    'UPDATE turns SET created_at = ?, model = 0, body = ? WHERE key = ?',
    turn.createdAt,
    body,
    key,
  );
  database.run('DELETE FROM vectors WHERE key = ?', key);
  database.run('INSERT OR REPLACE INTO terms (key, line) VALUES (?, ?)', key, terms);
  database.run('DELETE FROM summaries WHERE session = ? AND last >= ?', session, key);
  updateSession(database, session);
}

/** Brings the record of a session up to date after turns were removed or replaced. Without turns it goes too. */
export function updateSession(database: MemoryDatabase, session: number): void {
  database.run(
    `UPDATE sessions SET epoch = epoch + 1, turns = left.turns, last_sequence = left.last_sequence,
       first_at = left.first_at, last_at = left.last_at
     FROM (SELECT count(*) AS turns, coalesce(max(key) - ?1, 0) AS last_sequence,
             coalesce(min(created_at), 0) AS first_at, coalesce(max(created_at), 0) AS last_at
           FROM turns WHERE key BETWEEN ?1 AND ?2) AS left
     WHERE id = ?3`,
    firstKey(session),
    lastKey(session),
    session,
  );
  database.run('DELETE FROM sessions WHERE id = ? AND turns = 0', session);
}

export function findKey(database: MemoryDatabase, session: number, id: string): number | undefined {
  const rest = 'FROM turns WHERE session = ? AND id = ?';
  return database.first({ key: 'integer' }, rest, session, nameKey(id))?.key;
}

/**
 * The last `limit` turns, oldest first.
 *
 * @throws DamagedFileError if the latest are missing.
 */
export function lastTurns(database: MemoryDatabase, of: Conversation, limit: number): Turn[] {
  const session = findSession(database, of);
  if (!session || limit <= 0) return [];
  const rows = database.all(
    { key: 'integer', body: 'text' },
    'FROM turns WHERE key BETWEEN ? AND ? ORDER BY turns.key DESC LIMIT ?',
    firstKey(session.id),
    lastKey(session.id),
    limit,
  );
  const isWhole = rows.length >= Math.min(limit, session.turns);
  if (!isWhole || rows[0]?.key !== turnKey(session.id, session.last_sequence)) {
    throw new DamagedFileError('turns of the conversation are missing');
  }
  return rows.reverse().map(({ body }) => parseTurn(body));
}

/** The turns that still exist, by sequence. */
export function turnsAt(
  database: MemoryDatabase,
  session: number,
  sequences: readonly number[],
): ReadonlyMap<number, Turn> {
  const rows = database.all(
    { key: 'integer', body: 'text' },
    'FROM turns WHERE turns.key IN (SELECT value FROM json_each(?))',
    JSON.stringify(sequences.map((sequence) => turnKey(session, sequence))),
  );
  return new Map(rows.map(({ key, body }) => [sequenceOf(key), parseTurn(body)]));
}
