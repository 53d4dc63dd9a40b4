import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError } from '../core/errors.js';
import { hostMark } from '../core/host-mark.js';
import { makeDirectory } from '../core/make-directory.js';
import { ByteBudget, type ByteShare } from './byte-budget.js';

const prefix = () => `multimodal-chat-upload-${hostMark()}-`;

/**
 * Creates a private directory for the uploads of each request. The first one also removes what killed
 * processes left behind.
 */
export class UploadDirectories {
  readonly #parent: string;
  readonly #budget: ByteBudget;
  /** Directories whose removal failed. */
  readonly #remaining = new Set<string>();
  #cleaned: Promise<void> | undefined;

  constructor(parent: string, maxBytes: number) {
    this.#parent = parent;
    this.#budget = new ByteBudget(maxBytes);
  }

  /** The directory of one request; `report` is called if it cannot be removed. */
  forRequest(report: (error: unknown) => void): UploadDirectory {
    const remove = async (path: string) => {
      try {
        for (const each of [path, ...this.#remaining]) {
          await rm(each, { recursive: true, force: true, maxRetries: 3 });
          this.#remaining.delete(each);
        }
      } catch (error) {
        // The answer is there, and paid for. The next removal tries again.
        this.#remaining.add(path);
        report(error);
      }
    };
    return new UploadDirectory(this.#budget.open(), () => this.#create(), remove);
  }

  async #create(): Promise<string> {
    this.#cleaned ??= this.#prepare();
    try {
      await this.#cleaned;
      // Cleaners of temporary directories may have removed it since.
      await makeDirectory(this.#parent);
      return await mkdtemp(join(this.#parent, `${prefix()}${process.pid}-`));
    } catch (cause) {
      throw new ConfigurationError(
        `Uploads cannot be stored in ${this.#parent} (${(cause as Error).message}). Make it writable, or set \`tempDir\` or TMPDIR.`,
        { cause },
      );
    }
  }

  async #prepare(): Promise<void> {
    try {
      await makeDirectory(this.#parent);
      await removeLeftovers(this.#parent);
    } catch (error) {
      // The next request tries again: the disk may have recovered.
      this.#cleaned = undefined;
      throw error;
    }
  }
}

/** A directory that only this user can read, created when the first file of its request arrives. */
export class UploadDirectory {
  readonly #share: ByteShare;
  readonly #create: () => Promise<string>;
  readonly #remove: (path: string) => Promise<void>;
  #created: Promise<string> | undefined;

  constructor(share: ByteShare, create: () => Promise<string>, remove: (path: string) => Promise<void>) {
    this.#share = share;
    this.#create = create;
    this.#remove = remove;
  }

  /**
   * Sets how many bytes the directory holds.
   *
   * @throws HttpError 503 if the directories of all requests would hold too much.
   */
  hold(bytes: number): void {
    this.#share.hold(bytes);
  }

  path(): Promise<string> {
    this.#created ??= this.#create();
    return this.#created;
  }

  /** Removes the directory and its contents, if it was created. Never rejects. */
  async remove(): Promise<void> {
    // The caller of `path()` has seen the error if it could not be created.
    const path = await this.#created?.catch(() => undefined);
    if (path !== undefined) await this.#remove(path);
    this.#share.release();
  }
}

async function removeLeftovers(parent: string): Promise<void> {
  const names = await readdir(parent);
  await Promise.all(
    names.filter((name) => name.startsWith(prefix())).map((name) => removeLeftover(parent, name)),
  );
}

async function removeLeftover(parent: string, name: string): Promise<void> {
  const path = join(parent, name);
  const pid = Number.parseInt(name.slice(prefix().length), 10);
  if (!Number.isInteger(pid)) return;
  try {
    const { mtimeMs, uid } = await lstat(path);
    if (process.getuid !== undefined && uid !== process.getuid()) return;
    if (isAlive(pid) && !(pid === process.pid && mtimeMs < processStartedAt())) return;
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    // Another process that starts now may remove the same leftover.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

// Runs in a container often have the same process id, so an older directory is not of this process.
const processStartedAt = () => Date.now() - process.uptime() * 1000 - 1000;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
