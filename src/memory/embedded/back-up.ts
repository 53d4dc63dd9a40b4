import { existsSync } from 'node:fs';
import { link, open, rm, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { MemoryError } from '../../core/errors.js';
import { makeDirectory } from '../../core/make-directory.js';
import { explainDatabaseFailure } from './explain-failure.js';
import type { MemoryDatabase } from './memory-database.js';

/** Copies the database to a file that does not exist yet; it gets its name once it is whole and on disk. */
export async function backUp(database: MemoryDatabase, path: string): Promise<void> {
  const target = resolve(path);
  const unfinished = `${target}.${process.pid}.partial`;
  try {
    if (existsSync(target)) throw existsAlready(target);
    await makeDirectory(dirname(target), 0o700);
    await rm(unfinished, { force: true });
    await writeFile(unfinished, '', { mode: 0o600 });
    await database.vacuumInto(unfinished);
    await flushFile(unfinished);
    // Unlike a rename, a link does not replace what another process has put there meanwhile.
    await link(unfinished, target).catch((cause: NodeJS.ErrnoException) => {
      throw cause.code === 'EEXIST' ? existsAlready(target) : cause;
    });
  } catch (cause) {
    throw explainDatabaseFailure('written', target, cause);
  } finally {
    await rm(unfinished, { force: true }).catch(() => undefined);
  }
}

const existsAlready = (path: string) =>
  new MemoryError(`The backup ${path} exists already. Choose another path.`);

async function flushFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
