import { MemoryError } from '../../core/errors.js';
import { termsOf } from '../rank/terms.js';
import { textOfBody } from '../shared/turn-body.js';
import type { MemoryDatabase } from './memory-database.js';
import { firstKey, turnKey } from './schema.js';

/** The statements on the terms of turns, which are what a session is ranked by. */

/** The terms of some turns of a session. */
export interface TermPortion {
  readonly sequences: readonly number[];
  /** A line for each. */
  readonly lines: string;
  /** The sequence to go on with; undefined at the end. */
  readonly next: number | undefined;
  /** Those that the file does not have, as for turns that versions before 0.3 wrote. */
  readonly missing: readonly StoredTerms[];
}

export interface StoredTerms {
  readonly key: number;
  readonly line: string;
}

const turnsAtATime = 512;

/** At most 512 turns of a session, from one sequence to before another. One row takes a fifth of the time of many. */
export function readTerms(database: MemoryDatabase, session: number, from: number, to: number): TermPortion {
  const row = database.first(
    {
      keys: 'text:json_group_array(key)',
      lines: "text:coalesce(group_concat(line, char(10)), '')",
      missing: "integer:coalesce(sum(line = ''), 0)",
    },
    `FROM (SELECT turns.key AS key, coalesce(terms.line, '') AS line
           FROM turns LEFT JOIN terms ON terms.key = turns.key
           WHERE turns.key BETWEEN ? AND ? ORDER BY turns.key LIMIT ?)`,
    turnKey(session, from),
    turnKey(session, to - 1),
    turnsAtATime,
  );
  const keys = JSON.parse(row?.keys ?? '[]') as readonly number[];
  const sequences = keys.map((key) => key - firstKey(session));
  const next = keys.length < turnsAtATime ? undefined : (sequences.at(-1) as number) + 1;
  const stored = { sequences, lines: row?.lines ?? '', next, missing: [] };
  return row?.missing ? withMissing(database, keys, stored) : stored;
}

function withMissing(database: MemoryDatabase, keys: readonly number[], stored: TermPortion): TermPortion {
  const missing: StoredTerms[] = [];
  const lines = stored.lines.split('\n').map((line, at) => {
    if (line !== '') return line;
    const key = keys[at] as number;
    const body = database.first({ body: 'text' }, 'FROM turns WHERE key = ?', key)?.body;
    const made = termsOf(body === undefined ? '' : textOfBody(body));
    missing.push({ key, line: made });
    return made;
  });
  return { ...stored, lines: lines.join('\n'), missing };
}

/** Keeps terms that were missing. Best effort: without them the next process reads the turns again. */
export async function storeTerms(database: MemoryDatabase, terms: readonly StoredTerms[]): Promise<void> {
  try {
    await database.write(() => {
      for (const { key, line } of terms) {
        database.run(
          'INSERT OR IGNORE INTO terms (key, line) SELECT key, ? FROM turns WHERE key = ?',
          line,
          key,
        );
      }
    });
  } catch (error) {
    // The next write of a turn reports a file that cannot be written.
    if (!MemoryError.isInstance(error)) throw error;
  }
}
