import { titleOf } from '../../core/session-title.js';
import type { SessionPage, StoredSession } from '../memory-store.js';
import { nameKey } from '../shared/conversation-key.js';
import { parseTurn } from '../shared/turn-body.js';
import { DamagedFileError } from './explain-failure.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, lastKey } from './schema.js';

const columns = {
  id: 'integer',
  name: 'blob',
  turns: 'integer',
  first_at: 'integer',
  last_at: 'integer',
} as const;

/** Those of the same time come in the reverse order of their beginning. */
const isAfter =
  'AND last_at <= ?2 AND (last_at < ?2 OR id < (SELECT id FROM sessions WHERE tenant = ?1 AND name = ?3))';

/**
 * Names are stored as hashes, so the name of a conversation and its title come from its first turn.
 *
 * @throws DamagedFileError if the turn is missing or is of another conversation.
 */
export function listSessions(
  database: MemoryDatabase,
  tenant: string,
  { before, limit }: SessionPage,
): readonly StoredSession[] {
  const owner = nameKey(tenant);
  const inOrder = 'ORDER BY last_at DESC, id DESC';
  const rows =
    before === undefined
      ? database.all(
          columns,
          `FROM sessions INDEXED BY sessions_by_date WHERE tenant = ?1 ${inOrder} LIMIT ?2`,
          owner,
          limit,
        )
      : database.all(
          columns,
          `FROM sessions INDEXED BY sessions_by_date WHERE tenant = ?1 ${isAfter} ${inOrder} LIMIT ?4`,
          ...[owner, before.lastAt, nameKey(before.sessionId ?? ''), limit],
        );
  return rows.map(({ id, name, turns, first_at: firstAt, last_at: lastAt }) => {
    const firstTurn = 'FROM turns WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1';
    const row = database.first({ body: 'text' }, firstTurn, firstKey(id), lastKey(id));
    const first = row && parseTurn(row.body);
    if (first?.tenant !== tenant || !nameKey(first.sessionId).equals(name)) {
      throw new DamagedFileError('the first turn of a conversation is not its own');
    }
    return { sessionId: first.sessionId, title: titleOf(first.prompt), turns, firstAt, lastAt };
  });
}
