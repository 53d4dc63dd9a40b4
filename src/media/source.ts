import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { InvalidInputError, MediaError } from '../errors.js';
import type { MediaData, MediaSource, NamedMedia } from '../types.js';
import { readAll } from './byte-stream.js';
import { checkExcerpt, type Excerpt } from './excerpt.js';
import { hashFile, identifyFile, sampleFile } from './file-identity.js';
import type { MediaSettings } from './media-options.js';
import { realPathBelow } from './path-root.js';
import { fetchRemote } from './remote.js';
import { sniffBytes } from './sniff.js';
import type { Workspace } from './workspace.js';

/** A source whose bytes are at hand, in memory or in a file. */
export interface LocalSource {
  readonly name: string;
  /** What the sender claims. */
  readonly mimeType: string | undefined;
  /** The part that is asked for, where it is not the whole. */
  readonly excerpt: Excerpt | undefined;
  readonly bytes: number;
  /** The same only for the same bytes, whoever made them. */
  readonly identity: string;
  /** Hex SHA-256 of all bytes; of large sources of their length and of samples. */
  fingerprint(): Promise<string>;
  /** The first bytes, enough to tell the format. */
  readonly head: Uint8Array;
  /** All bytes, when they are in memory anyway. */
  readonly data: Uint8Array | undefined;
  /** All bytes. Large files are refused, so check the kind first. */
  read(): Promise<Uint8Array>;
  /** A file with the bytes; written to the workspace when there is none yet. */
  path(): Promise<string>;
}

/** What does not depend on what the sender says. */
type Opened = Omit<LocalSource, 'name' | 'mimeType' | 'excerpt'>;

/** Sources up to this many bytes are held in memory; larger ones stay in their file. */
const inMemoryBytes = 32 * 2 ** 20;

type Settings = Pick<
  MediaSettings,
  'allowPaths' | 'pathRoot' | 'allowUrls' | 'allowPrivateAddresses' | 'maxBytes' | 'timeoutMs'
>;

/**
 * Brings the bytes of a source within reach, under the byte limit.
 *
 * @throws MediaError `empty`, `too-large`, `not-found`, `not-allowed`
 * @throws InvalidInputError
 */
export async function openSource(
  source: MediaSource,
  workspace: Workspace,
  settings: Settings,
  signal: AbortSignal,
): Promise<LocalSource> {
  const { data, mimeType, ...given } = asNamed(source);
  const excerpt = checkExcerpt(given.startMs, given.endMs);
  const name = given.name || nameOf(data);
  const location = asLocation(data);
  let opened: Opened;
  if (location instanceof URL) {
    if (!settings.allowUrls) {
      throw new MediaError(
        'not-allowed',
        `"${name}" is a remote address, and fetching those is turned off. Send the bytes, or turn on allowUrls.`,
      );
    }
    const body = fetchRemote(location, settings, signal);
    opened = await openStream(body, name, workspace, settings.maxBytes, signal);
  } else if (typeof location === 'string') {
    if (!settings.allowPaths) {
      throw new MediaError(
        'not-allowed',
        `"${name}" is a file path, and reading those is turned off. Send the bytes.`,
      );
    }
    opened = await openFile(location, name, workspace, settings, signal);
  } else if (data instanceof Uint8Array || data instanceof ArrayBuffer) {
    opened = openBytes(data instanceof Uint8Array ? data : new Uint8Array(data), workspace);
  } else {
    opened = await openStream(asIterable(data), name, workspace, settings.maxBytes, signal);
  }
  if (opened.bytes === 0)
    throw new MediaError('empty', `"${name}" is empty. Send a file with something in it.`);
  if (opened.bytes > settings.maxBytes) throw tooLarge(name, settings.maxBytes);
  return { name, mimeType, excerpt, ...opened };
}

function asNamed(source: MediaSource): NamedMedia {
  if (typeof source !== 'object' || source === null) return { data: source };
  const isData =
    source instanceof URL ||
    source instanceof Uint8Array ||
    source instanceof ArrayBuffer ||
    source instanceof Blob ||
    isIterable(source);
  return isData ? { data: source as MediaData } : (source as NamedMedia);
}

function nameOf(data: MediaData): string {
  if (typeof data === 'string') return basename(data.split(/[?#]/, 1)[0] ?? data) || data;
  if (data instanceof URL) return basename(readablePath(data)) || data.hostname || 'attachment';
  if (typeof File !== 'undefined' && data instanceof File && data.name) return data.name;
  return 'attachment';
}

function readablePath({ pathname }: URL): string {
  try {
    return decodeURIComponent(pathname);
  } catch (error) {
    // A name is only for messages, so one with stray percent signs is shown as it is.
    if (error instanceof URIError) return pathname;
    throw error;
  }
}

/** A file path, a remote URL, or nothing when the data itself is given. */
function asLocation(data: MediaData): string | URL | undefined {
  if (typeof data === 'string') return /^https?:\/\//i.test(data) ? new URL(data) : resolve(data);
  if (!(data instanceof URL)) return undefined;
  if (data.protocol === 'file:') return fileURLToPath(data);
  if (data.protocol === 'http:' || data.protocol === 'https:') return data;
  throw new MediaError(
    'not-allowed',
    `Addresses that begin with ${data.protocol} are not read. Send the bytes.`,
  );
}

function isIterable(value: object): boolean {
  return Symbol.asyncIterator in value || value instanceof ReadableStream;
}

function asIterable(data: MediaData): AsyncIterable<Uint8Array> {
  if (data instanceof Blob) return Readable.fromWeb(data.stream() as never);
  if (data instanceof ReadableStream) return Readable.fromWeb(data as never);
  if (typeof data === 'object' && data !== null && Symbol.asyncIterator in data) {
    return data as AsyncIterable<Uint8Array>;
  }
  throw new InvalidInputError(
    'An attachment must be a path, a URL, bytes, a Blob, a stream, or an object with one of these as "data".',
  );
}

function openBytes(data: Uint8Array, workspace: Workspace): Opened {
  let written: Promise<string> | undefined;
  const write = async () => {
    const path = await workspace.newFile();
    await writeFile(path, data, { mode: 0o600 });
    return path;
  };
  return describeBytes(data, () => {
    written ??= write();
    return written;
  });
}

function describeBytes(data: Uint8Array, path: () => Promise<string>): Opened {
  const fingerprint = createHash('sha256').update(data).digest('hex');
  return {
    bytes: data.byteLength,
    identity: fingerprint,
    fingerprint: async () => fingerprint,
    head: data.subarray(0, sniffBytes),
    data,
    read: async () => data,
    path,
  };
}

async function openFile(
  given: string,
  name: string,
  workspace: Workspace,
  { maxBytes, pathRoot }: Settings,
  signal: AbortSignal,
): Promise<Opened> {
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
    if (bytes <= inMemoryBytes) {
      const data = await readStart(file, bytes, name);
      signal.throwIfAborted();
      // What was checked is what is used: by its name another file could be found later.
      return pathRoot === undefined ? describeBytes(data, async () => path) : openBytes(data, workspace);
    }
    const identity = identifyFile(stats);
    return {
      bytes,
      identity: identity ?? (await hashFile(path, signal)),
      fingerprint: () => sampleFile(path, bytes),
      head: await readStart(file, sniffBytes, name),
      data: undefined,
      read: () => readWhole(path),
      path: async () => path,
    };
  } finally {
    await file.close();
  }
}

async function openStream(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  workspace: Workspace,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Opened> {
  const hash = createHash('sha256');
  const held: Uint8Array[] = [];
  let bytes = 0;
  let spool: { file: FileHandle; path: string } | undefined;
  try {
    for await (const chunk of readAll(chunks, signal)) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw tooLarge(name, maxBytes);
      hash.update(chunk);
      if (spool) {
        await spool.file.appendFile(chunk);
        continue;
      }
      held.push(chunk);
      if (bytes > inMemoryBytes) {
        const path = await workspace.newFile();
        spool = { path, file: await open(path, 'wx', 0o600) };
        await spool.file.appendFile(Buffer.concat(held));
        held.splice(1);
      }
    }
  } finally {
    await spool?.file.close();
  }
  if (!spool) return openBytes(Buffer.concat(held), workspace);
  const { path } = spool;
  return {
    bytes,
    identity: hash.digest('hex'),
    fingerprint: () => sampleFile(path, bytes),
    head: await readHead(path, name),
    data: undefined,
    read: () => readWhole(path),
    path: async () => path,
  };
}

/**
 * The first bytes, as far as there are any. Never more than the file said that it has: the files of
 * `/proc` say nothing and hold what is nobody's business, or have no end.
 */
async function readStart(file: FileHandle, bytes: number, name: string): Promise<Uint8Array> {
  const data = Buffer.allocUnsafeSlow(bytes);
  let filled = 0;
  try {
    while (filled < bytes) {
      const { bytesRead } = await file.read(data, filled, bytes - filled, filled);
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

async function readHead(path: string, name: string): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    return await readStart(file, sniffBytes, name);
  } finally {
    await file.close();
  }
}

async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function tooLarge(name: string, maxBytes: number): MediaError {
  const limit = maxBytes >= 2 ** 20 ? `${Math.floor(maxBytes / 2 ** 20)} MiB` : `${maxBytes} bytes`;
  return new MediaError(
    'too-large',
    `"${name}" has more than ${limit}. Send a smaller file, or raise maxBytes.`,
  );
}
