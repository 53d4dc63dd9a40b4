import { followersOf } from '../../core/forget-target.js';
import type { ForgetTarget } from '../memory-store.js';
import { nameKey } from '../shared/conversation-key.js';
import { parseTurn, serializeTurn } from '../shared/turn-body.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, lastKey } from './schema.js';
import { findKey, updateSession } from './turn-records.js';

/** Deletes the turns and what was derived from them; returns the number of turns. Runs inside a transaction. */
export function deleteTurns(database: MemoryDatabase, target: ForgetTarget): number {
  const sessions = findSessions(database, target);
  return sessions.reduce((count, id) => count + deleteFrom(database, id, target), 0);
}

function findSessions(database: MemoryDatabase, { before, sessionId, tenant }: ForgetTarget): number[] {
  if (tenant === undefined) {
    const rest = 'FROM (SELECT DISTINCT session AS id FROM turns WHERE created_at < ?)';
    return database.all({ id: 'integer' }, rest, before.getTime()).map(({ id }) => id);
  }
  const names = [nameKey(tenant), ...(sessionId === undefined ? [] : [nameKey(sessionId)])];
  const rest = `FROM sessions WHERE tenant = ? ${sessionId === undefined ? '' : 'AND name = ?'}`;
  return database.all({ id: 'integer' }, rest, ...names).map(({ id }) => id);
}

function deleteFrom(database: MemoryDatabase, session: number, { before, turnId }: ForgetTarget): number {
  let condition = 'key BETWEEN ? AND ?';
  const parameters = [firstKey(session), lastKey(session)];
  if (turnId !== undefined) {
    const key = findKey(database, session, turnId);
    if (key === undefined) return 0;
    relinkFollowers(database, session, turnId);
    parameters.splice(0, 2, key, key);
  }
  if (before !== undefined) {
    condition += ' AND created_at < ?';
    parameters.push(before.getTime());
  }
  const keys = `(SELECT key FROM turns WHERE ${condition})`;
  database.run(`DELETE FROM vectors WHERE key IN ${keys}`, ...parameters);
  database.run(`DELETE FROM terms WHERE key IN ${keys}`, ...parameters);
  // A summary covers every turn up to its last one.
  database.run(
    `DELETE FROM summaries WHERE session = ? AND last >= (SELECT min(key) FROM turns WHERE ${condition})`,
    session,
    ...parameters,
  );
  const count = database.run(`DELETE FROM turns WHERE ${condition}`, ...parameters);
  if (count > 0) updateSession(database, session);
  return count;
}

/** Turns that follow a turn that goes follow its parent from here on. */
function relinkFollowers(database: MemoryDatabase, session: number, id: string): void {
  const columns = { key: 'integer', body: 'text' } as const;
  const keys = [firstKey(session), lastKey(session)];
  const follows = 'AND instr(CAST(body AS BLOB), CAST(? AS BLOB)) > 0';
  const rest = 'FROM turns WHERE turns.key BETWEEN ? AND ?';
  const text = `"parentId":${JSON.stringify(id)}`;
  if (database.first(columns, `${rest} ${follows} LIMIT 1`, ...keys, text) === undefined) return;
  const rows = database.all(columns, `${rest} ORDER BY turns.key`, ...keys);
  for (const turn of followersOf(
    rows.map(({ body }) => parseTurn(body)),
    id,
  )) {
    const { body } = serializeTurn(turn);
    database.run('UPDATE turns SET body = ? WHERE key = ?', body, findKey(database, session, turn.id));
  }
}
