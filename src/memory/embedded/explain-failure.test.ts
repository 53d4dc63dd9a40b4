import { describe, expect, it } from 'vitest';
import { MemoryError } from '../../core/errors.js';
import { explainDatabaseFailure } from './explain-failure.js';

describe('explainDatabaseFailure', () => {
  it.each([
    ['SQLITE_FULL', 'database or disk is full', /the disk is full/],
    ['ENOSPC', 'ENOSPC: no space left on device', /the disk is full/],
    ['SQLITE_CORRUPT', 'database disk image is malformed', /damaged.*backup/],
    ['SQLITE_NOTADB', 'file is not a database', /damaged/],
    ['SQLITE_READONLY_DIRECTORY', 'attempt to write a readonly database', /permissions/],
    ['SQLITE_CANTOPEN', 'unable to open database file', /permissions/],
    [undefined, 'ConnectionFailed("Unable to open connection to local database x: 14")', /permissions/],
    ['EROFS', 'EROFS: read-only file system', /permissions/],
    ['ENOTDIR', 'ENOTDIR: not a directory', /a file where a directory is needed/],
    ['SQLITE_BUSY', 'database is locked', /another process/],
    ['SQLITE_PROTOCOL', 'locking protocol', /network shares/],
    ['SQLITE_IOERR_LOCK', 'disk I/O error', /does not lock files/],
    ['SQLITE_IOERR_SHMMAP', 'disk I/O error', /local disk/],
    ['SQLITE_IOERR_WRITE', 'disk I/O error', /disk reports an error/],
    ['MODULE_NOT_FOUND', "Cannot find module '@libsql/linux-x64-musl'", /npm install/],
    ['SQLITE_ERROR', 'something new', /could not be read: something new\./],
  ])('explains what to do about %s (%s)', (code, message, sentence) => {
    const cause = Object.assign(new Error(message), { code });
    const error = explainDatabaseFailure('read', '/data/memory.db', cause);
    expect(error).toBeInstanceOf(MemoryError);
    expect(error.message).toMatch(sentence);
    expect(error.message).toContain('/data/memory.db');
    expect(error.cause).toBe(cause);
  });
});
