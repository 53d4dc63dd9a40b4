import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MediaError } from '../../core/errors.js';
import { hostMark } from '../../core/host-mark.js';

const prefix = () => `multimodal-chat-${hostMark()}-`;

/** Directories that this process has open, so that they go even when it exits in the middle. */
const open = new Set<string>();

function removeOpenDirectories(): void {
  for (const directory of open) rmSync(directory, { recursive: true, force: true });
}

/** The temporary files of one preparation, in a directory that no other user can read. */
export class Workspace {
  readonly #parent: string;
  #directory: Promise<string> | undefined;
  #files = 0;

  constructor(parent: string) {
    this.#parent = parent;
  }

  /** A path for a new file; nothing is there yet. The directory is made when first needed. */
  async newFile(): Promise<string> {
    this.#directory ??= this.#create();
    this.#files += 1;
    return join(await this.#directory, String(this.#files));
  }

  async #create(): Promise<string> {
    try {
      await mkdir(this.#parent, { recursive: true });
      const directory = await mkdtemp(join(this.#parent, `${prefix()}${process.pid}-`));
      if (open.size === 0) process.once('exit', removeOpenDirectories);
      open.add(directory);
      return directory;
    } catch (cause) {
      throw new MediaError(
        'unavailable',
        `No temporary file can be written in ${this.#parent}. Make it writable, or set tempDir.`,
        { cause },
      );
    }
  }

  async remove(): Promise<void> {
    if (!this.#directory) return;
    // If it could not be created, `newFile` has already thrown.
    const directory = await this.#directory.catch(() => undefined);
    if (!directory) return;
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    open.delete(directory);
    if (open.size === 0) process.removeListener('exit', removeOpenDirectories);
  }
}

/** Removes the directories of processes that were killed. */
export async function removeAbandonedWorkspaces(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  const pattern = new RegExp(`^${prefix()}(\\d+)-`);
  for (const name of names) {
    const pid = Number(pattern.exec(name)?.[1] ?? 0);
    if (pid && (await isAbandoned(pid, join(parent, name)))) {
      // Another process may remove the same directory at the same time.
      await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

/** In a container every start has the same process id, so a directory older than the process is not its own. */
async function isAbandoned(pid: number, directory: string): Promise<boolean> {
  if (pid !== process.pid) return !isAlive(pid);
  const startedAt = Date.now() - process.uptime() * 1000;
  // Removed by another process: nothing to clean.
  const made = await stat(directory).catch(() => undefined);
  return made !== undefined && made.mtimeMs < startedAt - 1000;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
