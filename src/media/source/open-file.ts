import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { MediaError } from '../../core/errors.js';
import type { MediaSettings } from '../media-options.js';
import { hashFile, identifyFile, sampleFile } from './file-identity.js';
import { describeBytes, openBytes } from './open-bytes.js';
import { realPathBelow } from './path-root.js';
import { sniffBytes } from './sniff.js';
import { inMemoryBytes, type OpenedSource } from './source.js';
import { tooLarge } from './too-large.js';
import type { Workspace } from './workspace.js';

/** Files up to this size, such as most photos, are read at once; larger ones often only in part. */
const readAtOnceBytes = 4 * 2 ** 20;

/** An ordinary file as a source: a small one is read at once, a large one stays where it is. */
export async function openFile(
  given: string,
  name: string,
  workspace: Workspace,
  { maxBytes, pathRoot }: Pick<MediaSettings, 'maxBytes' | 'pathRoot'>,
  signal: AbortSignal,
): Promise<OpenedSource> {
  // O_NONBLOCK, because opening a FIFO waits for a writer otherwise.
  const file = await open(given, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause) => {
    const reason = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'not-found' : 'not-allowed';
    const problem = reason === 'not-found' ? 'There is no file' : 'The file cannot be opened';
    throw new MediaError(reason, `${problem}: "${name}". Check the path and its permissions.`, { cause });
  });
  try {
    const path = pathRoot === undefined ? given : await realPathBelow(pathRoot, file, given, name);
    const stats = await file.stat({ bigint: true });
    if (!stats.isFile()) {
      throw new MediaError('not-allowed', `"${name}" is a directory, pipe or device. Name an ordinary file.`);
    }
    if (stats.size > maxBytes) throw tooLarge(name, maxBytes);
    const bytes = Number(stats.size);
    if (bytes <= (pathRoot === undefined ? readAtOnceBytes : inMemoryBytes)) {
      const data = await readFrom(file, 0, bytes, name);
      signal.throwIfAborted();
      // The bytes that were checked are used: the name could lead to another file later.
      return pathRoot === undefined ? describeBytes(data, async () => path) : openBytes(data, workspace);
    }
    const identity = identifyFile(stats);
    return {
      bytes,
      identity: identity ?? (await hashFile(path, signal)),
      digest: () => hashFile(path, signal),
      fingerprint: () => (bytes <= inMemoryBytes ? hashFile(path, signal) : sampleFile(path, bytes)),
      head: await readFrom(file, 0, sniffBytes, name),
      data: undefined,
      read: () => readWhole(path),
      path: async () => path,
    };
  } finally {
    await file.close();
  }
}

/**
 * Bytes as far as there are any. Never more than the size that the file reports: files of `/proc` report
 * none, and hold secrets or have no end.
 */
async function readFrom(file: FileHandle, start: number, bytes: number, name: string): Promise<Uint8Array> {
  const data = Buffer.allocUnsafeSlow(bytes);
  let filled = 0;
  try {
    while (filled < bytes) {
      const { bytesRead } = await file.read(data, filled, bytes - filled, start + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
  } catch (cause) {
    throw new MediaError('not-allowed', `The file "${name}" cannot be read. Check the disk it is on.`, {
      cause,
    });
  }
  return data.subarray(0, filled);
}

export const readHead = (path: string, name: string) => readPart(path, name, 0, sniffBytes);

/** Some bytes of a file, as far as there are any. */
export async function readPart(
  path: string,
  name: string,
  start: number,
  bytes: number,
): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    return await readFrom(file, start, bytes, name);
  } finally {
    await file.close();
  }
}

export async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}
