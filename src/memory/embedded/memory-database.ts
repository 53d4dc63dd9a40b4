import { existsSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Database, Statement } from 'libsql';
import { type Clock, sleep, systemClock } from '../../core/clock.js';
import { ClosedError } from '../../core/errors.js';
import { explainDatabaseFailure, isBusy } from './explain-failure.js';
import { prepareSchema } from './schema.js';

/** SQLite waits this long with the event loop blocked; longer waits sleep between tries. */
const blockingWaitMs = 20;
const longestWaitMs = 15_000;

type Row = Readonly<Record<string, unknown>>;

/** One SQLite file: opening, transactions, waiting for other processes, errors as sentences. */
export class MemoryDatabase {
  readonly path: string;
  readonly #clock: Clock;
  readonly #statements = new Map<string, Statement<unknown[]>>();
  readonly #database: Database;
  #isClosed = false;

  private constructor(path: string, database: Database, clock: Clock) {
    this.path = path;
    this.#database = database;
    this.#clock = clock;
  }

  static exists(path: string): boolean {
    return path === ':memory:' || existsSync(path);
  }

  /** Creates the directory and the file where they do not exist. */
  static async open(
    path: string,
    clock: Clock = systemClock,
    prepare: (database: Database) => void = prepareSchema,
  ): Promise<MemoryDatabase> {
    const file = path === ':memory:' ? path : resolve(path);
    try {
      if (file !== ':memory:') await mkdir(dirname(file), { recursive: true });
      const { default: Libsql } = await import('libsql');
      const database = new MemoryDatabase(file, new Libsql(file), clock);
      await database.#retryWhileBusy(() => database.#configure(prepare));
      return database;
    } catch (cause) {
      throw explainDatabaseFailure('opened', file, cause);
    }
  }

  // Parameters go as one array: libsql mistakes a lone Buffer for an object of named parameters.

  /** Runs a statement without rows; returns the number of rows it changed. */
  run(sql: string, ...parameters: unknown[]): number {
    return this.#statement(sql).run(parameters).changes;
  }

  first(sql: string, ...parameters: unknown[]): Row | undefined {
    return this.#statement(sql).get(parameters) as Row | undefined;
  }

  all(sql: string, ...parameters: unknown[]): Row[] {
    return this.#statement(sql).all(parameters) as Row[];
  }

  read<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      throw explainDatabaseFailure('read', this.path, cause);
    }
  }

  /**
   * Runs the work in one transaction. The commit is on disk when this resolves. Waits up to 15 s for
   * another process that is writing.
   */
  async write<T>(work: () => T, signal?: AbortSignal): Promise<T> {
    try {
      return await this.#retryWhileBusy(() => this.#transact(work), signal);
    } catch (cause) {
      signal?.throwIfAborted();
      throw explainDatabaseFailure('written', this.path, cause);
    }
  }

  /**
   * Moves the log into the file and empties it, so that deleted rows are in neither. The log cannot be
   * emptied while another process reads: this retries for a second, then leaves it to the next checkpoint.
   */
  async emptyLog(): Promise<void> {
    for (let attempt = 0; attempt < 50 && !this.#checkpoint(); attempt++) await sleep(this.#clock, 20);
  }

  #checkpoint(): boolean {
    const rows = this.read(() => this.#database.pragma('wal_checkpoint(TRUNCATE)'));
    return (rows as readonly { readonly busy: number }[])[0]?.busy === 0;
  }

  /** Writes a copy with every transaction committed so far, while reading and writing go on. */
  async vacuumInto(path: string): Promise<void> {
    const statement = `VACUUM INTO '${path.replaceAll("'", "''")}'`;
    if (this.path === ':memory:') {
      this.#database.exec(statement);
      return;
    }
    // On a separate connection, which works in a thread: a large file takes seconds.
    const { default: Libsql } = await import('libsql/promise');
    const connection = new Libsql(this.path, {});
    try {
      await connection.exec(statement);
    } finally {
      connection.close();
    }
  }

  /** Bytes of the file and its log; 0 in memory. */
  diskBytes(): number {
    const files = [this.path, `${this.path}-wal`];
    return files.reduce((bytes, file) => bytes + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
  }

  /** Statements of calls that are still waiting throw a ClosedError. */
  close(): void {
    this.#isClosed = true;
    try {
      this.#checkpoint();
    } finally {
      this.#statements.clear();
      this.#database.close();
    }
  }

  #configure(prepare: (database: Database) => void): void {
    this.#database.pragma(`busy_timeout = ${blockingWaitMs}`);
    this.#database.pragma('journal_mode = WAL');
    // NORMAL would lose the last commits in a power cut, and with them acknowledged turns.
    this.#database.pragma('synchronous = FULL');
    // Deleted rows are overwritten in the file, not just unlinked.
    this.#database.pragma('secure_delete = ON');
    this.#transact(() => prepare(this.#database));
  }

  #transact<T>(work: () => T): T {
    this.run('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.run('COMMIT');
      return result;
    } catch (error) {
      // SQLite rolls back some failures by itself; a second rollback would hide the first error.
      if (this.#database.inTransaction) this.run('ROLLBACK');
      throw error;
    }
  }

  async #retryWhileBusy<T>(work: () => T, signal?: AbortSignal): Promise<T> {
    const startedAt = this.#clock.now();
    for (;;) {
      signal?.throwIfAborted();
      try {
        return work();
      } catch (error) {
        if (!isBusy(error) || this.#clock.now() - startedAt > longestWaitMs) throw error;
        await sleep(this.#clock, 2 + Math.random() * 20, signal);
      }
    }
  }

  #statement(sql: string): Statement<unknown[]> {
    if (this.#isClosed) throw new ClosedError('memory store');
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
