import { randomUUID } from 'node:crypto';
import { open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClosedError, MemoryError } from '../../core/errors.js';
import { parseForgetTarget } from '../../core/forget-target.js';
import { makeDirectory } from '../../core/make-directory.js';
import type { PreparedMedia } from '../../core/media.js';
import { parseOptions } from '../../core/parse-options.js';
import type { Conversation } from '../../core/turn.js';
import type {
  ArchivedMedia,
  ArchiveForgetTarget,
  MediaArchive,
  MediaArchiveStats,
} from '../media-archive.js';
import { nameKey } from '../shared/conversation-key.js';
import {
  decodeParts,
  encodeArchived,
  idOf,
  preambleBytes,
  readHeader,
  readPreamble,
} from './archived-file.js';
import { type DiskMediaArchiveOptions, diskMediaArchiveOptionsSchema } from './media-archive-options.js';

const extension = '.media';
/** Share of `maxBytes` that one attachment may take; a larger one is not kept. */
const largestShare = 1 / 8;
/** Share of `maxBytes` left after removing the oldest, so that not every write removes some. */
const roomAfterRemoval = 0.9;
/** Age at which an unfinished file counts as left by a killed process, not as being written. */
const longestWriteMs = 3_600_000;

interface StoredFile {
  readonly path: string;
  readonly bytes: number;
  /** When it was last attached: the modification time, in milliseconds since the epoch. */
  readonly lastAt: number;
}

/**
 * Attachments as the model was shown them, one file each in a directory per conversation. Any number
 * of processes may use one directory.
 *
 * @example
 * ```ts
 * const archive = new DiskMediaArchive({ directory: './data/media', maxBytes: 10 * 2 ** 30 });
 * ```
 */
export class DiskMediaArchive implements MediaArchive {
  readonly #directory: string;
  readonly #maxBytes: number;
  /** Bytes of all files, as far as this process knows; undefined until they were counted. */
  #bytes: Promise<number> | undefined;
  #isClosed = false;

  /** @throws ConfigurationError that names every option that is wrong. */
  constructor(options: DiskMediaArchiveOptions) {
    const resolved = parseOptions(diskMediaArchiveOptionsSchema, options, 'DiskMediaArchive');
    this.#directory = resolved.directory;
    this.#maxBytes = resolved.maxBytes;
  }

  async keep(conversation: Conversation, media: PreparedMedia, at: number): Promise<void> {
    this.#assertOpen();
    if (media.parts.some(({ path }) => path !== undefined)) return;
    const directory = this.#directoryOf(conversation);
    const path = join(directory, `${idOf(media)}${extension}`);
    try {
      const attachedAt = new Date(at);
      if (await setTime(path, attachedAt)) return;
      const file = encodeArchived(media, at);
      if (file.length > this.#maxBytes * largestShare) return;
      await makeDirectory(directory, 0o700);
      const unfinished = `${path}.${randomUUID()}.part`;
      await writeFile(unfinished, file, { mode: 0o600 });
      await utimes(unfinished, attachedAt, attachedAt);
      await rename(unfinished, path);
      await this.#makeRoom(file.length);
    } catch (cause) {
      throw explain('kept', cause);
    }
  }

  async list(conversation: Conversation): Promise<readonly ArchivedMedia[]> {
    this.#assertOpen();
    try {
      const directory = this.#directoryOf(conversation);
      const names = (await namesIn(directory)).filter((name) => name.endsWith(extension));
      const items = await Promise.all(names.map((name) => readArchived(directory, name)));
      return items.filter((item) => item !== undefined).sort((a, b) => a.firstAt - b.firstAt);
    } catch (cause) {
      throw explain('read', cause);
    }
  }

  async load(conversation: Conversation, id: string): Promise<readonly Uint8Array[] | undefined> {
    this.#assertOpen();
    if (!/^[0-9a-f]+$/.test(id)) return undefined;
    try {
      return decodeParts(await readFile(join(this.#directoryOf(conversation), `${id}${extension}`)));
    } catch (cause) {
      if (isMissing(cause)) return undefined;
      throw explain('read', cause);
    }
  }

  async forget(target: ArchiveForgetTarget): Promise<void> {
    this.#assertOpen();
    if (!('fingerprints' in target)) parseForgetTarget(target);
    try {
      if ('fingerprints' in target) {
        const items = await this.list(target);
        const gone = items.filter(({ fingerprint }) => target.fingerprints.includes(fingerprint));
        const directory = this.#directoryOf(target);
        await Promise.all(gone.map(({ id }) => rm(join(directory, `${id}${extension}`), { force: true })));
      } else {
        const { before, sessionId, tenant } = target;
        let directory = this.#directory;
        if (sessionId !== undefined) directory = this.#directoryOf({ tenant, sessionId });
        else if (tenant !== undefined) directory = this.#tenantDirectory(tenant);
        if (before === undefined) await rm(directory, { recursive: true, force: true, maxRetries: 3 });
        else {
          const files = await this.#files(directory);
          await removeAll(files.filter(({ lastAt }) => lastAt < before.getTime()));
        }
      }
      this.#bytes = undefined;
    } catch (cause) {
      throw explain('removed', cause);
    }
  }

  async stats(): Promise<MediaArchiveStats> {
    this.#assertOpen();
    try {
      const files = await this.#files();
      return { items: files.length, bytes: sumOf(files) };
    } catch (cause) {
      throw explain('counted', cause);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new ClosedError('media archive');
  }

  async #makeRoom(addedBytes: number): Promise<void> {
    const known = this.#bytes;
    this.#bytes = known === undefined ? this.#files().then(sumOf) : known.then((bytes) => bytes + addedBytes);
    if ((await this.#bytes) <= this.#maxBytes) return;
    // Counted again, because other processes write and forget too.
    const files = [...(await this.#files())].sort((a, b) => a.lastAt - b.lastAt);
    let bytes = sumOf(files);
    const tooMany: StoredFile[] = [];
    for (const file of files) {
      if (bytes <= this.#maxBytes * roomAfterRemoval) break;
      bytes -= file.bytes;
      tooMany.push(file);
    }
    await removeAll(tooMany);
    this.#bytes = Promise.resolve(bytes);
  }

  /** Every kept file. Also removes what killed processes left unfinished. */
  async #files(directory = this.#directory): Promise<readonly StoredFile[]> {
    const names = await namesIn(directory, true);
    const found = await Promise.all(names.map((name) => describeFile(join(directory, name))));
    const files = found.filter((file) => file !== undefined);
    const stale = Date.now() - longestWriteMs;
    await removeAll(files.filter(({ lastAt, path }) => path.endsWith('.part') && lastAt < stale));
    return files.filter(({ path }) => path.endsWith(extension));
  }

  #tenantDirectory(tenant: string): string {
    return join(this.#directory, nameKey(tenant).toString('hex'));
  }

  #directoryOf({ sessionId, tenant }: Conversation): string {
    return join(this.#tenantDirectory(tenant), nameKey(sessionId).toString('hex'));
  }
}

const sumOf = (files: readonly StoredFile[]) => files.reduce((sum, { bytes }) => sum + bytes, 0);

const isMissing = (error: unknown) => /^(ENOENT|ENOTDIR)$/.test((error as NodeJS.ErrnoException).code ?? '');

/** Sets the modification time; false if there is no such file. */
async function setTime(path: string, at: Date): Promise<boolean> {
  try {
    await utimes(path, at, at);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function namesIn(directory: string, recursive = false): Promise<readonly string[]> {
  try {
    return await readdir(directory, { recursive });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Undefined for directories, and for files that were removed meanwhile. */
async function describeFile(path: string): Promise<StoredFile | undefined> {
  try {
    const stats = await stat(path);
    return stats.isFile() ? { path, bytes: stats.size, lastAt: stats.mtimeMs } : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function removeAll(files: readonly StoredFile[]): Promise<void> {
  await Promise.all(files.map(({ path }) => rm(path, { force: true })));
}

async function readArchived(directory: string, name: string): Promise<ArchivedMedia | undefined> {
  const id = name.slice(0, -extension.length);
  try {
    const file = await open(join(directory, name), 'r');
    try {
      const { mtimeMs, size } = await file.stat();
      const preamble = await file.read(Buffer.alloc(preambleBytes), 0, preambleBytes, 0);
      const known = readPreamble(preamble.buffer.subarray(0, preamble.bytesRead));
      if (known === undefined) return undefined;
      const json = await file.read(Buffer.alloc(known.length), 0, known.length, preambleBytes);
      const header = readHeader(json.buffer.subarray(0, json.bytesRead), known, size);
      return header && { ...header, id, lastAt: mtimeMs };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** A failure of the disk as a `MemoryError`; anything else as it is. */
function explain(what: string, cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === undefined) return cause;
  const advice =
    code === 'ENOSPC' ? 'Free some disk space' : 'Check that its directory can be read and written';
  return new MemoryError(`An attachment of the conversation could not be ${what} (${code}). ${advice}.`, {
    cause,
  });
}
