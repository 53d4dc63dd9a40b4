import type { Turn } from '../../src/core/turn.js';
import type { Subject } from './memory-subjects.js';
import { dimensions, makeVector } from './memory-turns.js';

/** Only the part of better-sqlite3 that is measured; it is installed for this benchmark alone, if at all. */
interface Database {
  pragma(text: string): unknown;
  exec(sql: string): void;
  prepare(sql: string): {
    run(...parameters: unknown[]): unknown;
    get(...parameters: unknown[]): unknown;
    iterate(...parameters: unknown[]): Iterable<unknown>;
  };
  transaction<T>(work: (argument: T) => void): (argument: T) => void;
  close(): void;
}

const name = 'better-sqlite3';

/** Why it cannot be measured here, and what would change that. */
export async function obstacleToSqlite(): Promise<string | undefined> {
  return import(name).then(
    () => undefined,
    () =>
      `${name} is not installed: npm install --no-save --prefix test/bench ${name} (where its binary cannot be fetched it is compiled, with python3, make and g++)`,
  );
}

/**
 * What an app would write by hand: a row per turn with its vector, flushed as ours is, and a recall that
 * reads the vectors of the session and compares them one by one. Vectors alone, no ranking by words.
 */
export async function sqliteScan(path: string): Promise<Subject> {
  const { default: BetterSqlite3 } = (await import(name)) as { default: new (path: string) => Database };
  const database = new BetterSqlite3(path);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec(
    `CREATE TABLE IF NOT EXISTS turns (id INTEGER PRIMARY KEY, session TEXT, body TEXT, vector BLOB);
     CREATE INDEX IF NOT EXISTS turns_by_session ON turns (session)`,
  );
  const insert = database.prepare('INSERT INTO turns (session, body, vector) VALUES (?, ?, ?)');
  const insertAll = database.transaction((turns: readonly Turn[]) => {
    for (const turn of turns) {
      const vector = makeVector(`${turn.prompt}\n${turn.reply}`);
      insert.run(turn.sessionId, JSON.stringify(turn), Buffer.from(vector.buffer));
    }
  });
  const scan = database.prepare('SELECT id, vector FROM turns WHERE session = ?');
  const read = database.prepare('SELECT body FROM turns WHERE id = ?');
  return {
    append: async (turns) => insertAll(turns),
    recall: async (sessionId, query) => {
      const asked = makeVector(query);
      const found: { readonly id: number; readonly score: number }[] = [];
      for (const row of scan.iterate(sessionId)) {
        const { id, vector } = row as { readonly id: number; readonly vector: Buffer };
        found.push({ id, score: dot(asked, vector) });
      }
      const best = found.sort((a, b) => b.score - a.score).slice(0, 10);
      return best.map(({ id }) => JSON.parse((read.get(id) as { readonly body: string }).body) as Turn);
    },
    flush: async () => undefined,
    reopen: async () => {
      database.close();
      return sqliteScan(path);
    },
    close: async () => database.close(),
  };
}

function dot(query: Float32Array, packed: Buffer): number {
  const vector = new Float32Array(packed.buffer, packed.byteOffset, dimensions);
  let sum = 0;
  for (let at = 0; at < dimensions; at++) sum += (query[at] as number) * (vector[at] as number);
  return sum;
}
