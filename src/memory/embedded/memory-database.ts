import { existsSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Database, Statement } from 'libsql';
import { type Clock, sleep, systemClock } from '../../core/clock.js';
import { ClosedError } from '../../core/errors.js';
import { loadInstalled } from '../../core/installed.js';
import { makeDirectory } from '../../core/make-directory.js';
import { type Columns, decodeRow, type RowOf, selectColumns } from './columns.js';
import { explainDatabaseFailure, isBusy } from './explain-failure.js';
import { lostWrites } from './lost-writes.js';
import { prepareSchema } from './schema.js';

const libsql = 'libsql';
const importLibsql = (): Promise<{ readonly default: typeof import('libsql') }> =>
  import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ libsql);
const libsqlPromise = 'libsql/promise';
const importLibsqlPromise = (): Promise<{ readonly default: typeof import('libsql/promise') }> =>
  import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ libsqlPromise);

/** SQLite waits this long with the event loop blocked; longer waits sleep between tries. */
const blockingWaitMs = 20;
const longestWaitMs = 15_000;

/** One SQLite file: opening, transactions, waiting for other processes, errors as sentences. */
export class MemoryDatabase {
  readonly path: string;
  readonly #clock: Clock;
  readonly #statements = new Map<string, Statement<unknown[]>>();
  readonly #database: Database;
  #files: readonly string[] = [];
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
      if (file !== ':memory:') await createFile(file);
      const { default: Libsql } = await loadInstalled(libsql, importLibsql);
      const database = new MemoryDatabase(file, new Libsql(file), clock);
      await database.#retryWhileBusy(() => database.#configure(prepare));
      database.#files = database.#identities();
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

  /** The first row of `SELECT columns rest`. */
  first<C extends Columns>(columns: C, rest: string, ...parameters: unknown[]): RowOf<C> | undefined {
    const row = this.#statement(selectColumns(columns, rest)).get(parameters);
    return row === undefined ? undefined : decodeRow(columns, row as object);
  }

  /** All rows of `SELECT columns rest`. */
  all<C extends Columns>(columns: C, rest: string, ...parameters: unknown[]): RowOf<C>[] {
    const rows = this.#statement(selectColumns(columns, rest)).all(parameters) as object[];
    return rows.map((row) => decodeRow(columns, row));
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
    const { default: Libsql } = await loadInstalled(libsqlPromise, importLibsqlPromise);
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
    return files.reduce((bytes, file) => bytes + bytesOf(file), 0);
  }

  /** Whether the file or its log was deleted or replaced since it was opened: what is written is lost then. */
  isGone(): boolean {
    const now = this.#identities();
    return this.#files.some((identity, at) => identity !== now[at]);
  }

  #identities(): readonly string[] {
    if (this.path === ':memory:') return [];
    return [this.path, `${this.path}-wal`].map((file) => {
      const stats = statSync(file, { throwIfNoEntry: false });
      return stats ? `${stats.dev} ${stats.ino}` : '';
    });
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
    this.#warnOfLostWrites();
    this.#transact(() => prepare(this.#database));
  }

  #warnOfLostWrites(): void {
    if (this.path === ':memory:') return;
    const frames = () =>
      (this.#database.pragma('wal_checkpoint(PASSIVE)') as readonly { readonly log: number }[])[0]?.log ?? 0;
    // No process writes while this one holds the lock.
    const lost = lostWrites(`${this.path}-wal`, (read) => this.#transact(read), frames);
    if (!lost) return;
    warnOf(
      `The end of the log of the memory file ${this.path} is damaged. The turns stored last may be lost; restore a backup if they matter.`,
    );
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

const bytesOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0;

const warnOf = (message: string) => process.emitWarning(message, { code: 'MULTIMODAL_CHAT_MEMORY' });

/** Only the user can read what is created. What exists keeps its permissions. */
async function createFile(path: string): Promise<void> {
  await makeDirectory(dirname(path), 0o700);
  try {
    // SQLite gives its log the permissions of the file. An existing file is not opened: closing it would
    // release the locks that SQLite holds on it.
    await (await open(path, 'wx', 0o600)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (bytesOf(path) > 0 || bytesOf(`${path}-wal`) > 0) return;
    warnOf(`The memory file ${path} is empty. If it held turns, they are lost; restore a backup.`);
  }
}
