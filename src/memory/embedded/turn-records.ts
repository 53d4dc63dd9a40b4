import type { Conversation, Turn } from '../../core/turn.js';
import type { ForgetTarget } from '../memory-store.js';
import { nameKey } from '../shared/conversation-key.js';
import { parseTurn, type SerializedTurn } from '../shared/turn-body.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, lastKey, sequenceOf, turnKey } from './schema.js';
import type { SessionState } from './session-state.js';

/** A turn as it is stored: as JSON, and as the ranking reads it. */
export interface IndexedTurn extends SerializedTurn {
  readonly terms: string;
}

/** The statements on sessions and turns. Each function runs inside a transaction of its caller. */

export function findSession(database: MemoryDatabase, of: Conversation): SessionState | undefined {
  return database.first(
    'SELECT id, next_sequence, epoch, vector_version FROM sessions WHERE tenant = ? AND name = ?',
    nameKey(of.tenant),
    nameKey(of.sessionId),
  ) as SessionState | undefined;
}

/** A known id changes nothing. */
export function insertTurn(database: MemoryDatabase, { turn, body, terms }: IndexedTurn): void {
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
  if (added === 0) return;
  database.run('INSERT INTO terms (key, line) VALUES (?, ?)', key, terms);
  database.run(
    'UPDATE sessions SET next_sequence = next_sequence + 1, turns = turns + 1 WHERE id = ?',
    session.id,
  );
}

/** The last `limit` turns, oldest first. */
export function lastTurns(database: MemoryDatabase, of: Conversation, limit: number): Turn[] {
  const session = findSession(database, of);
  if (!session) return [];
  const rows = database.all(
    'SELECT body FROM turns WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT ?',
    firstKey(session.id),
    lastKey(session.id),
    Math.max(0, limit),
  );
  return rows.reverse().map(({ body }) => parseTurn(body as string));
}

/** The turns that still exist, by sequence. */
export function turnsAt(
  database: MemoryDatabase,
  session: number,
  sequences: readonly number[],
): ReadonlyMap<number, Turn> {
  const rows = database.all(
    'SELECT key, body FROM turns WHERE key IN (SELECT value FROM json_each(?))',
    JSON.stringify(sequences.map((sequence) => turnKey(session, sequence))),
  );
  return new Map(rows.map(({ key, body }) => [sequenceOf(key as number), parseTurn(body as string)]));
}

/** Deletes the turns and what was derived from them; returns the number of turns. */
export function deleteTurns(database: MemoryDatabase, target: ForgetTarget): number {
  if ('before' in target) return deleteBefore(database, target.before.getTime());
  const parameters = [nameKey(target.tenant)];
  if ('sessionId' in target) parameters.push(nameKey(target.sessionId));
  const byName = 'sessionId' in target ? 'tenant = ? AND name = ?' : 'tenant = ?';
  const sessions = database.all(`SELECT id FROM sessions WHERE ${byName}`, ...parameters);
  let count = 0;
  for (const { id } of sessions) {
    const keys = [firstKey(id as number), lastKey(id as number)];
    database.run('DELETE FROM vectors WHERE key BETWEEN ? AND ?', ...keys);
    database.run('DELETE FROM terms WHERE key BETWEEN ? AND ?', ...keys);
    count += database.run('DELETE FROM turns WHERE key BETWEEN ? AND ?', ...keys);
    database.run('DELETE FROM summaries WHERE session = ?', id);
    database.run('DELETE FROM sessions WHERE id = ?', id);
  }
  return count;
}

function deleteBefore(database: MemoryDatabase, time: number): number {
  const sessions = database.all(
    'SELECT session, count(*) AS count FROM turns WHERE created_at < ? GROUP BY session',
    time,
  );
  database.run('DELETE FROM vectors WHERE key IN (SELECT key FROM turns WHERE created_at < ?)', time);
  database.run('DELETE FROM terms WHERE key IN (SELECT key FROM turns WHERE created_at < ?)', time);
  database.run('DELETE FROM turns WHERE created_at < ?', time);
  let total = 0;
  for (const { session, count } of sessions) {
    total += count as number;
    database.run('DELETE FROM summaries WHERE session = ?', session);
    database.run('UPDATE sessions SET turns = turns - ?, epoch = epoch + 1 WHERE id = ?', count, session);
    database.run('DELETE FROM sessions WHERE id = ? AND turns = 0', session);
  }
  return total;
}
