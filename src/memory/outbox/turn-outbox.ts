import { randomUUID } from 'node:crypto';
import type { Database } from 'libsql';
import { type Clock, wallTime } from '../../core/clock.js';
import { MemoryError } from '../../core/errors.js';
import type { Conversation, Turn } from '../../core/turn.js';
import type { RowOf } from '../embedded/columns.js';
import { MemoryDatabase } from '../embedded/memory-database.js';
import { migrate } from '../embedded/schema.js';
import type { ForgetTarget } from '../memory-store.js';
import { conversationKey, namesKey, turnId } from '../shared/conversation-key.js';
import { parseTurn, type SerializedTurn } from '../shared/turn-body.js';

/** A turn that is on the local disk and waits to be delivered. */
export interface WaitingTurn {
  readonly position: number;
  /** Microseconds since the epoch; rises with every turn. */
  readonly acceptedAt: number;
  readonly replace: boolean;
  readonly turn: Turn;
}

export interface AcceptedTurn extends SerializedTurn {
  readonly replace: boolean;
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

  `-- One process delivers at a time, so that turns stay in order. Turns have no owner from here on.
   CREATE TABLE lease (
     holder TEXT NOT NULL,
     until INTEGER NOT NULL,
     -- The next holder, to which the present one gives way.
     heir TEXT NOT NULL,
     heir_until INTEGER NOT NULL
   );
   INSERT INTO lease VALUES ('', 0, '', 0);
   DROP TABLE forgotten;
   DROP INDEX outbox_by_owner;`,

  `-- Whether the turn replaces one with its id.
   ALTER TABLE outbox ADD COLUMN replaces INTEGER NOT NULL DEFAULT 0;`,
];
const prepare = (database: Database): void => migrate(database, applicationId, migrations);

/** After this another process delivers too, whether or not the holder still runs. */
const leaseMs = 60_000;
const heirMs = 5_000;

/** The acknowledged turns that wait for a store, in one SQLite file for all processes of a machine. */
export class TurnOutbox {
  readonly #path: string;
  readonly #maxPending: number;
  readonly #clock: Clock;
  readonly #holder = `${process.pid} ${randomUUID()}`;
  #opening: Promise<MemoryDatabase> | undefined;

  constructor(options: { readonly path: string; readonly maxPending: number; readonly clock: Clock }) {
    this.#path = options.path;
    this.#maxPending = options.maxPending;
    this.#clock = options.clock;
  }

  /** Resolves when all of them are on the disk. A known id changes nothing. */
  async insert(turns: readonly AcceptedTurn[]): Promise<void> {
    await this.#reopenIfGone();
    const database = await this.#open();
    await database.write(() => {
      const waiting = database.first({ count: 'integer:count(*)' }, 'FROM outbox')?.count ?? 0;
      if (waiting + turns.length > this.#maxPending) throw this.#full(waiting);
      const now = wallTime(this.#clock);
      let last = database.first({ last: 'integer' }, 'FROM orders')?.last ?? 0;
      for (const { turn, body, replace } of turns) {
        last = Math.max(now * 1000, last + 1);
        const id = turnId(turn);
        const waits = replace && database.first({ turn_order: 'integer' }, 'FROM outbox WHERE id = ?', id);
        // Under another position, since the former turn may be on its way.
        if (waits) database.run('DELETE FROM outbox WHERE id = ?', id);
        const order = waits ? waits.turn_order : last;
        database.run(
          `INSERT INTO outbox (id, owner, added_at, tenant, conversation, turn_order, created_at, body, replaces)
           VALUES (?, '', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
          ...[id, now, namesKey(turn.tenant), conversationKey(turn), order, turn.createdAt, body],
          replace ? 1 : 0,
        );
      }
      database.run('UPDATE orders SET last = ?', last);
    });
    if (database.isGone())
      throw new MemoryError(`The outbox ${this.#path} was deleted while it was written to.`);
  }

  /** The last `limit` that wait of a conversation, oldest first. */
  async ofConversation(conversation: Conversation, limit: number): Promise<readonly Turn[]> {
    const database = await this.#existing();
    const rest = 'FROM outbox WHERE conversation = ? ORDER BY turn_order DESC LIMIT ?';
    const rows = database?.read(() =>
      database.all(waitingColumns, rest, conversationKey(conversation), limit).map(toWaiting),
    );
    return (rows ?? []).reverse().map(({ turn }) => turn);
  }

  async count(): Promise<number> {
    const database = await this.#existing();
    const row = database?.read(() => database.first({ count: 'integer:count(*)' }, 'FROM outbox'));
    return row?.count ?? 0;
  }

  /** The oldest turns. */
  async next(limit: number): Promise<readonly WaitingTurn[]> {
    const database = await this.#existing();
    const rest = 'FROM outbox ORDER BY position LIMIT ?';
    return database?.read(() => database.all(waitingColumns, rest, limit).map(toWaiting)) ?? [];
  }

  async remove(delivered: readonly WaitingTurn[]): Promise<void> {
    const database = await this.#open();
    await database.write(() => {
      for (const { position } of delivered) database.run('DELETE FROM outbox WHERE position = ?', position);
    });
  }

  async matching(target: ForgetTarget): Promise<readonly WaitingTurn[]> {
    const database = await this.#existing();
    const [condition, values] = toForget(target);
    const rest = `FROM outbox WHERE ${condition}`;
    return database?.read(() => database.all(waitingColumns, rest, ...values).map(toWaiting)) ?? [];
  }

  /** Leaves nothing of the turns in the file. */
  async forget(target: ForgetTarget, signal?: AbortSignal): Promise<number> {
    const database = await this.#existing();
    if (!database) return 0;
    const [condition, values] = toForget(target);
    const count = await database.write(
      () => database.run(`DELETE FROM outbox WHERE ${condition}`, ...values),
      signal,
    );
    await database.emptyLog();
    return count;
  }

  /**
   * Whether this process may deliver, for a minute; true without a file. With `isUrgent` the present holder
   * gives way before its next batch.
   */
  async lead({ isUrgent = false } = {}): Promise<boolean> {
    const database = await this.#existing();
    if (!database) return true;
    return database.write(() => {
      const now = wallTime(this.#clock);
      const { heir, heir_until, holder, until } = database.first(leaseColumns, 'FROM lease') as LeaseRow;
      const isMine = holder === this.#holder;
      const isFree = isMine || until < now || !isRunning(holder);
      const isPromised = heir !== this.#holder && heir_until >= now && isRunning(heir);
      if (isFree && !isPromised) {
        database.run("UPDATE lease SET holder = ?, until = ?, heir = ''", this.#holder, now + leaseMs);
        return true;
      }
      if (isMine) database.run('UPDATE lease SET until = 0');
      if (isUrgent && !isPromised) {
        database.run('UPDATE lease SET heir = ?, heir_until = ?', this.#holder, now + heirMs);
      }
      return false;
    });
  }

  /** Lets other processes deliver. */
  async yield(): Promise<void> {
    const database = await this.#existing();
    await database?.write(() => database.run('UPDATE lease SET until = 0 WHERE holder = ?', this.#holder));
  }

  /** Leaves undelivered turns to the next process. */
  async close(): Promise<void> {
    // The call that opened it has reported the failure; then there is nothing to close.
    const database = await this.#opening?.catch(() => undefined);
    if (!database) return;
    try {
      await this.yield();
    } finally {
      database.close();
    }
  }

  #full(waiting: number): MemoryError {
    return new MemoryError(
      `The outbox ${this.#path} is full: ${waiting} turns wait for the store (maxPending ${this.#maxPending}). Is its server running? Bring it back, or raise maxPending.`,
    );
  }

  /** Reading creates no file. */
  async #existing(): Promise<MemoryDatabase | undefined> {
    await this.#reopenIfGone();
    if (!this.#opening && !MemoryDatabase.exists(this.#path)) return undefined;
    return this.#open();
  }

  /** A file that was deleted while it was open takes writes, and loses them at the end of the process. */
  async #reopenIfGone(): Promise<void> {
    const opening = this.#opening;
    const database = await opening?.catch(() => undefined);
    if (!database?.isGone() || this.#opening !== opening) return;
    this.#opening = undefined;
    database.close();
  }

  #open(): Promise<MemoryDatabase> {
    this.#opening ??= MemoryDatabase.open(this.#path, this.#clock, prepare).catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }
}

const leaseColumns = { holder: 'text', until: 'integer', heir: 'text', heir_until: 'integer' } as const;
type LeaseRow = RowOf<typeof leaseColumns>;

const waitingColumns = {
  position: 'integer',
  turn_order: 'integer',
  body: 'text',
  replaces: 'integer',
} as const;

function toForget(target: ForgetTarget): readonly [condition: string, values: readonly (string | number)[]] {
  const { before, sessionId, tenant, turnId: id } = target;
  const conditions: [string, string | number][] = [];
  if (id !== undefined) conditions.push(['id = ?', turnId({ tenant, sessionId, id })]);
  else if (sessionId !== undefined)
    conditions.push(['conversation = ?', conversationKey({ tenant, sessionId })]);
  else if (tenant !== undefined) conditions.push(['tenant = ?', namesKey(tenant)]);
  if (before !== undefined) conditions.push(['created_at < ?', before.getTime()]);
  return [conditions.map(([condition]) => condition).join(' AND '), conditions.map(([, value]) => value)];
}

const toWaiting = (row: RowOf<typeof waitingColumns>): WaitingTurn => ({
  position: row.position,
  acceptedAt: row.turn_order,
  replace: row.replaces === 1,
  turn: parseTurn(row.body),
});

/** @param holder A process, by its pid and a UUID. */
function isRunning(holder: string): boolean {
  const pid = Number.parseInt(holder, 10);
  if (!Number.isInteger(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It runs, as another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
