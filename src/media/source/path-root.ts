import type { FileHandle } from 'node:fs/promises';
import { lstat, readlink, realpath } from 'node:fs/promises';
import { isAbsolute, relative, sep } from 'node:path';
import { MediaError } from '../../core/errors.js';

/**
 * Where a file that was opened really lies, links followed.
 *
 * @throws MediaError `not-allowed` when that is not below `root`.
 */
export async function realPathBelow(
  root: string,
  file: FileHandle,
  path: string,
  name: string,
): Promise<string> {
  const refused = (cause?: unknown) =>
    new MediaError('not-allowed', `"${name}" lies outside the directory whose files may be read.`, { cause });
  const [realRoot, realFile] = await Promise.all([realpath(root), pathOf(file, path)]).catch((cause) => {
    throw refused(cause);
  });
  const inside = relative(realRoot, realFile);
  const isBelow = inside !== '' && inside !== '..' && !inside.startsWith(`..${sep}`) && !isAbsolute(inside);
  if (!isBelow) throw refused();
  return realFile;
}

/** By the open file rather than by its name, which may lead to another file by now. */
async function pathOf(file: FileHandle, path: string): Promise<string> {
  if (process.platform === 'linux') return readlink(`/proc/self/fd/${file.fd}`);
  const real = await realpath(path);
  const [named, opened] = await Promise.all([lstat(real, { bigint: true }), file.stat({ bigint: true })]);
  if (named.dev === opened.dev && named.ino === opened.ino) return real;
  throw new Error(`${path} was changed while it was opened.`);
}
