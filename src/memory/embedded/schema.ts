import type { Database } from 'libsql';
import { MemoryError } from '../../core/errors.js';

/** "MMCM": marks the file as ours. */
const applicationId = 0x4d4d434d;

/** Each entry brings the schema one version further. Entries are never changed, only added. */
const migrations: readonly string[] = [
  `CREATE TABLE sessions (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     tenant BLOB NOT NULL,
     name BLOB NOT NULL,
     next_sequence INTEGER NOT NULL DEFAULT 0,
     turns INTEGER NOT NULL DEFAULT 0,
     -- Raised when turns go, so that caches of other processes are dropped.
     epoch INTEGER NOT NULL DEFAULT 0,
     -- Raised when vectors come.
     vector_version INTEGER NOT NULL DEFAULT 0,
     UNIQUE (tenant, name)
   );
   CREATE TABLE models (
     id INTEGER PRIMARY KEY,
     name TEXT NOT NULL,
     dimensions INTEGER NOT NULL,
     UNIQUE (name, dimensions)
   );
   -- The key is session and sequence in one number, which keeps the turns of a session side by side.
   CREATE TABLE turns (
     key INTEGER PRIMARY KEY,
     session INTEGER NOT NULL,
     id BLOB NOT NULL,
     created_at INTEGER NOT NULL,
     -- The model of the turn's vector; 0 without one.
     model INTEGER NOT NULL DEFAULT 0,
     body TEXT NOT NULL,
     UNIQUE (session, id)
   );
   CREATE INDEX turns_by_date ON turns (created_at);
   CREATE INDEX turns_by_model ON turns (model);
   CREATE TABLE vectors (
     key INTEGER PRIMARY KEY,
     model INTEGER NOT NULL,
     vector BLOB NOT NULL
   );`,

  `-- The terms of 256 turns at a time, so that the ranking need not read their words again.
   CREATE TABLE term_blocks (
     -- The key of the first turn of the block, whether it exists or not.
     key INTEGER PRIMARY KEY,
     terms BLOB NOT NULL
   );`,

  `-- What the first turns of a session were about. Goes with any turn of the session.
   CREATE TABLE summaries (
     session INTEGER PRIMARY KEY,
     -- The key of the last turn that it covers.
     last INTEGER NOT NULL,
     body TEXT NOT NULL
   );`,

  `-- Blocks hold 64 turns from here on. One of 256 would stay when a turn after its first 64 is forgotten.
   DELETE FROM term_blocks;`,

  `-- Bodies hold the messages of a turn from here on. No row changes: this keeps out versions that do not read them.
   SELECT 1;`,

  `-- The terms of each turn in place of those of 64 turns. Turns without any get them when their session is read.
   DROP TABLE term_blocks;
   CREATE TABLE terms (
     key INTEGER PRIMARY KEY,
     -- What the ranking reads of the turn, by \`termsOf\`.
     line TEXT NOT NULL
   );`,

  `-- The place of the latest turn, to notice that the end of a conversation is missing.
   ALTER TABLE sessions ADD COLUMN last_sequence INTEGER NOT NULL DEFAULT 0;
   UPDATE sessions SET last_sequence = latest.key % 16777216
     FROM (SELECT session, max(key) AS key FROM turns GROUP BY session) AS latest
     WHERE latest.session = sessions.id;
   -- A second way to find a conversation, to notice that the first one is damaged.
   CREATE INDEX sessions_by_name ON sessions (name, tenant);`,

  `-- The dates of the first and the latest turn, to list the conversations of a tenant without reading their turns.
   ALTER TABLE sessions ADD COLUMN first_at INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE sessions ADD COLUMN last_at INTEGER NOT NULL DEFAULT 0;
   UPDATE sessions SET first_at = dates.first_at, last_at = dates.last_at
     FROM (SELECT session, min(created_at) AS first_at, max(created_at) AS last_at FROM turns GROUP BY session) AS dates
     WHERE dates.session = sessions.id;
   CREATE INDEX sessions_by_date ON sessions (tenant, last_at, id);`,
];

/** The tables of the memory. */
export const prepareSchema = (database: Database): void => migrate(database, applicationId, migrations);

/**
 * Creates or migrates tables. Each of the `steps` brings them one version further. Runs inside a
 * transaction, so that two processes do not both do it.
 */
export function migrate(database: Database, application: number, steps: readonly string[]): void {
  const pragma = (name: string) =>
    (database.pragma(name) as readonly Record<string, number>[])[0]?.[name] ?? 0;
  const version = pragma('user_version');
  const owner = pragma('application_id');
  const tables = database.prepare('SELECT count(*) AS count FROM sqlite_schema').get() as { count: number };
  if (owner !== application && (owner !== 0 || tables.count > 0)) {
    throw new MemoryError('The memory file belongs to another program. Choose another path.');
  }
  if (version > steps.length) {
    throw new MemoryError(
      `The memory file was written by a newer version of multimodal-chat (schema ${version}, known here: ${steps.length}). Update the package.`,
    );
  }
  if (version === steps.length) return;
  for (const step of steps.slice(version)) database.exec(step);
  database.exec(`PRAGMA application_id = ${application}`);
  database.exec(`PRAGMA user_version = ${steps.length}`);
}

/** Room for 16 million turns in a session and half a thousand million sessions within 2^53. */
const turnsPerSession = 2 ** 24;

export function turnKey(session: number, sequence: number): number {
  if (sequence >= turnsPerSession) {
    throw new MemoryError(`A session holds at most ${turnsPerSession} turns. Start another session.`);
  }
  return session * turnsPerSession + sequence;
}

export const firstKey = (session: number): number => session * turnsPerSession;
export const lastKey = (session: number): number => (session + 1) * turnsPerSession - 1;
export const sessionOf = (key: number): number => Math.floor(key / turnsPerSession);
export const sequenceOf = (key: number): number => key % turnsPerSession;
