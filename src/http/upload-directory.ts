import { createHash } from 'node:crypto';
import { lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

// Other hosts may share the directory, and their process ids mean nothing here.
const hostMark = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const prefix = `multimodal-chat-upload-${hostMark}-`;

/**
 * Private directories for the uploads of one request each. The first one also removes what processes
 * that were killed have left behind.
 */
export class UploadDirectories {
  readonly #parent: string;
  #cleaned: Promise<void> | undefined;

  constructor(parent: string) {
    this.#parent = parent;
  }

  /** The directory of one request. */
  forRequest(): UploadDirectory {
    return new UploadDirectory(() => this.#create());
  }

  async #create(): Promise<string> {
    this.#cleaned ??= this.#prepare();
    await this.#cleaned;
    return mkdtemp(join(this.#parent, `${prefix}${process.pid}-`));
  }

  async #prepare(): Promise<void> {
    try {
      await mkdir(this.#parent, { recursive: true });
      await removeLeftovers(this.#parent);
    } catch (error) {
      // The next request tries again: the disk may be back by then.
      this.#cleaned = undefined;
      throw error;
    }
  }
}

/** A directory that only this user can read, made when the first file of its request comes. */
export class UploadDirectory {
  readonly #create: () => Promise<string>;
  #created: Promise<string> | undefined;

  constructor(create: () => Promise<string>) {
    this.#create = create;
  }

  path(): Promise<string> {
    this.#created ??= this.#create();
    return this.#created;
  }

  /** Removes it with everything in it, where it was made. */
  async remove(): Promise<void> {
    // Whoever asked for the path has learned that it could not be made.
    const path = await this.#created?.catch(() => undefined);
    if (path !== undefined) await rm(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function removeLeftovers(parent: string): Promise<void> {
  const names = await readdir(parent);
  await Promise.all(
    names.filter((name) => name.startsWith(prefix)).map((name) => removeLeftover(parent, name)),
  );
}

async function removeLeftover(parent: string, name: string): Promise<void> {
  const path = join(parent, name);
  const pid = Number.parseInt(name.slice(prefix.length), 10);
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

// In a container every run tends to have the same process id, so an older directory is not ours.
const processStartedAt = () => Date.now() - process.uptime() * 1000 - 1000;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
