import { randomUUID } from 'node:crypto';
import type { Database } from 'libsql';
import type { Clock } from '../../core/clock.js';
import { MemoryError } from '../../core/errors.js';
import { MemoryDatabase } from '../embedded/memory-database.js';
import { migrate } from '../embedded/schema.js';
import type { ForgetTarget } from '../memory-store.js';
import type { SerializedTurn } from '../shared/turn-body.js';
import { isForgotten, type RecordScope, recordId, scopeOf } from './scope.js';
import type { TurnRecord } from './turn-record.js';

/** A turn that is on the local disk and waits to be delivered. */
export interface OutboxRecord extends TurnRecord {
  readonly position: number;
}

/** "MMCO": marks the file as ours. */
const applicationId = 0x4d4d434f;
const migrations: readonly string[] = [
  `CREATE TABLE outbox (
     position INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     -- The process that delivers it: its pid, then a UUID of the store.
     owner TEXT NOT NULL,
     added_at INTEGER NOT NULL,
     tenant TEXT NOT NULL,
     conversation TEXT NOT NULL,
     turn_order INTEGER NOT NULL,
     created_at INTEGER NOT NULL,
     body TEXT NOT NULL
   );
   CREATE INDEX outbox_by_conversation ON outbox (conversation);
   CREATE INDEX outbox_by_owner ON outbox (owner);
   -- Positions that were forgotten, for a process that may be delivering them at that moment.
   CREATE TABLE forgotten (position INTEGER PRIMARY KEY, at INTEGER NOT NULL);
   -- The highest order given so far, should the clock go back.
   CREATE TABLE orders (last INTEGER NOT NULL);
   INSERT INTO orders VALUES (0);`,
];
const prepare = (database: Database): void => migrate(database, applicationId, migrations);

/** No delivery takes longer. */
const longestDeliveryMs = 3_600_000;
/** After this another process delivers a turn too, whether or not its owner still runs. */
const longestOwnershipMs = 300_000;

type Row = Readonly<Record<string, unknown>>;

/** The acknowledged turns that wait for the server, in one SQLite file for all processes of a machine. */
export class TurnOutbox {
  readonly #path: string;
  readonly #maxPending: number;
  readonly #clock: Clock;
  readonly #owner = `${process.pid} ${randomUUID()}`;
  #opening: Promise<MemoryDatabase> | undefined;

  constructor(options: { readonly path: string; readonly maxPending: number; readonly clock: Clock }) {
    this.#path = options.path;
    this.#maxPending = options.maxPending;
    this.#clock = options.clock;
  }

  /** Resolves when all of them are on the disk. A known id changes nothing. */
  async insert(turns: readonly SerializedTurn[]): Promise<void> {
    const database = await this.#open();
    await database.write(() => {
      const waiting = database.first('SELECT count(*) AS count FROM outbox')?.count as number;
      if (waiting + turns.length > this.#maxPending) throw this.#full(waiting);
      const now = this.#clock.now();
      let last = database.first('SELECT last FROM orders')?.last as number;
      for (const { turn, body } of turns) {
        last = Math.max(now * 1000, last + 1);
        const { tenant, conversation, order, created_at } = scopeOf(turn, last);
        database.run(
          `INSERT INTO outbox (id, owner, added_at, tenant, conversation, turn_order, created_at, body)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
          ...[recordId(turn), this.#owner, now, tenant, conversation, order, created_at, body],
        );
      }
      database.run('UPDATE orders SET last = ?', last);
    });
  }

  async ofConversation(conversation: string): Promise<readonly TurnRecord[]> {
    const database = await this.#existing();
    const sql = 'SELECT * FROM outbox WHERE conversation = ? ORDER BY turn_order';
    return database?.read(() => database.all(sql, conversation).map(toRecord)) ?? [];
  }

  async count(): Promise<number> {
    const database = await this.#existing();
    const row = database?.read(() => database.first('SELECT count(*) AS count FROM outbox'));
    return (row?.count as number | undefined) ?? 0;
  }

  /** The oldest turns that this process is to deliver. */
  async next(limit: number): Promise<readonly OutboxRecord[]> {
    const database = await this.#existing();
    const sql = 'SELECT * FROM outbox WHERE owner = ? ORDER BY position LIMIT ?';
    return database?.read(() => database.all(sql, this.#owner, limit).map(toRecord)) ?? [];
  }

  /** Removes what was delivered; returns the turns that were forgotten meanwhile. */
  async remove(delivered: readonly OutboxRecord[]): Promise<readonly OutboxRecord[]> {
    const database = await this.#open();
    const positions = JSON.stringify(delivered.map(({ position }) => position));
    return database.write(() => {
      const gone = 'IN (SELECT value FROM json_each(?))';
      database.run(`DELETE FROM outbox WHERE position ${gone}`, positions);
      const rows = database.all(`SELECT position FROM forgotten WHERE position ${gone}`, positions);
      const forgotten = new Set(rows.map(({ position }) => position));
      return delivered.filter(({ position }) => forgotten.has(position));
    });
  }

  /** Takes over the turns of processes that have ended. */
  async adopt(): Promise<void> {
    const database = await this.#existing();
    if (!database) return;
    const others = () => database.all('SELECT DISTINCT owner FROM outbox WHERE owner <> ?', this.#owner);
    const dead = database
      .read(others)
      .filter(({ owner }) => !isRunning(Number.parseInt(owner as string, 10)));
    const longAgo = this.#clock.now() - longestOwnershipMs;
    const late = 'SELECT 1 FROM outbox WHERE owner <> ? AND added_at < ? LIMIT 1';
    if (dead.length === 0 && !database.read(() => database.first(late, this.#owner, longAgo))) return;
    await database.write(() => {
      for (const { owner } of dead) {
        database.run('UPDATE outbox SET owner = ? WHERE owner = ?', this.#owner, owner);
      }
      database.run('UPDATE outbox SET owner = ? WHERE added_at < ?', this.#owner, longAgo);
    });
  }

  /** Leaves nothing of the turns in the file; returns the ids of those that waited. */
  async forget(target: ForgetTarget, signal?: AbortSignal): Promise<readonly string[]> {
    const database = await this.#existing();
    if (!database) return [];
    const ids = await database.write(() => {
      const now = this.#clock.now();
      const rows = database
        .all('SELECT position, id, tenant, conversation, turn_order, created_at FROM outbox')
        .filter((row) => isForgotten(target, toScope(row)));
      for (const { position } of rows) {
        database.run('DELETE FROM outbox WHERE position = ?', position);
        database.run('INSERT INTO forgotten VALUES (?, ?)', position, now);
      }
      database.run('DELETE FROM forgotten WHERE at < ?', now - longestDeliveryMs);
      return rows.map(({ id }) => id as string);
    }, signal);
    await database.emptyLog();
    return ids;
  }

  /** Leaves undelivered turns to the next process. */
  async close(): Promise<void> {
    // The call that opened it has reported the failure; then there is nothing to close.
    const database = await this.#opening?.catch(() => undefined);
    if (!database) return;
    try {
      await database.write(() => database.run("UPDATE outbox SET owner = '' WHERE owner = ?", this.#owner));
    } finally {
      database.close();
    }
  }

  #full(waiting: number): MemoryError {
    return new MemoryError(
      `The outbox ${this.#path} is full: ${waiting} turns wait for the Chroma server (maxPending ${this.#maxPending}). Is the server running? Bring it back, or raise maxPending.`,
    );
  }

  /** Reading creates no file. */
  async #existing(): Promise<MemoryDatabase | undefined> {
    if (!this.#opening && !MemoryDatabase.exists(this.#path)) return undefined;
    return this.#open();
  }

  #open(): Promise<MemoryDatabase> {
    this.#opening ??= MemoryDatabase.open(this.#path, this.#clock, prepare).catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }
}

const toScope = (row: Row): RecordScope => ({
  tenant: row.tenant as string,
  conversation: row.conversation as string,
  order: row.turn_order as number,
  created_at: row.created_at as number,
});

const toRecord = (row: Row): OutboxRecord => ({
  position: row.position as number,
  id: row.id as string,
  scope: toScope(row),
  body: row.body as string,
});

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It runs, as another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
