import { MemoryError, MultimodalChatError } from '../../core/errors.js';

interface CodedError {
  readonly code?: string;
  readonly message?: string;
  readonly name?: string;
}

/** Something in the file contradicts something else in it. */
export class DamagedFileError extends Error {
  readonly code = 'SQLITE_CORRUPT';
}

export function isBusy(error: unknown): boolean {
  return ((error as CodedError | undefined)?.code ?? '').startsWith('SQLITE_BUSY');
}

/** Causes by the code of SQLite or Node, or by the text if libsql has no code. First match wins. */
const explanations: readonly (readonly [RegExp, string])[] = [
  [
    /SQLITE_(NOTADB|CORRUPT)|ERR_ENCODING_INVALID_ENCODED_DATA|SyntaxError|no such (table|column)|malformed/,
    'it is damaged or not a memory database. Move it away to start afresh, put a backup in its place, or save what is readable with "sqlite3 FILE .recover".',
  ],
  [/SQLITE_FULL|ENOSPC/, 'the disk is full. Free some space; nothing that was acknowledged is lost.'],
  [
    /SQLITE_(READONLY|PERM|CANTOPEN)|EACCES|EPERM|EROFS|ConnectionFailed/,
    'the file or its directory cannot be written by this user. Check the permissions, or choose another path.',
  ],
  [/ENOTDIR|EEXIST/, 'a part of its path is a file where a directory is needed. Choose another path.'],
  [
    /SQLITE_(PROTOCOL|NOLFS|IOERR_(LOCK|UNLOCK|RDLOCK|CHECKRESERVEDLOCK|SHM\w+))|ENOLCK/,
    'its file system does not lock files as SQLite needs, as many network shares do not. Keep the file on a local disk.',
  ],
  [
    /SQLITE_(BUSY|LOCKED)/,
    'another process has been writing to it for too long. Look for one that hangs with it open.',
  ],
  [
    /MODULE_NOT_FOUND|Cannot find module/,
    'the package "libsql" or its part for this platform is not installed. Run "npm install" again without --omit=optional; beside a bundle, run "npm install libsql".',
  ],
  [
    /SQLITE_IOERR|EIO/,
    'the disk reports an error. Check the disk and whether the file is on a network share.',
  ],
];

/** A `MemoryError` that explains what to do. Errors of this package pass through. */
export function explainDatabaseFailure(
  done: 'opened' | 'read' | 'written',
  path: string,
  cause: unknown,
): MultimodalChatError {
  if (MultimodalChatError.isInstance(cause)) return cause;
  const { code = '', message = String(cause), name = '' } = (cause ?? {}) as CodedError;
  const known = explanations.find(([pattern]) => [code, name, message].some((text) => pattern.test(text)));
  return new MemoryError(`The memory file ${path} could not be ${done}: ${known?.[1] ?? `${message}.`}`, {
    cause,
  });
}
