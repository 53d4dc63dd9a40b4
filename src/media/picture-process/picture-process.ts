import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { onAbort } from '../../core/abort.js';
import { MediaError } from '../../core/errors.js';
import type { ImageSettings } from '../image/image-settings.js';
import type { ImageInput } from '../image/outline.js';
import type { PreparedContent } from '../work/prepared-content.js';
import { ProtocolError, readMessages, type WireMessage, writeMessage } from './messages.js';
import { hasOwnGroup } from './own-group.js';
import {
  type PictureLimits,
  type PictureReply,
  type PictureRequest,
  type PictureVerdict,
  pictureReplySchema,
} from './picture-messages.js';
import type { StartPictureProcess } from './start-picture-process.js';

export interface PictureJob {
  readonly input: ImageInput;
  readonly settings: ImageSettings;
  readonly limits: PictureLimits;
  readonly report: (done: number) => void;
  /** @throws MediaError if so many pixels may not be decoded */
  readonly admit: (pixels: number) => void;
}

/** Loading takes a fifth of a second on an idle machine. */
const startMs = 30_000;
/** A JPEG of noise at the best quality takes less. */
const mostBytesPerPixel = 6;
const headersBytes = 2 ** 20;

/** One process that decodes pictures, one at a time. */
export class PictureProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<string>;
  readonly #replies: AsyncGenerator<WireMessage, void, undefined>;
  #maxReplyBytes = 0;
  #hasBegun = false;
  #isOver = false;
  #rss = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    // What could not be written is not missed: the process has ended then.
    child.stdin?.on('error', () => undefined);
    this.#exit = new Promise((resolve) => {
      const over = (how: string) => {
        this.#isOver = true;
        resolve(how);
      };
      child.on('error', (error) => over(String(error)));
      child.once('exit', (code, signal) => over(signal ?? `code ${code}`));
    });
    this.#replies = readMessages(child.stdout as Readable, () => this.#maxReplyBytes);
  }

  /**
   * Resolves when it is ready.
   *
   * @throws Error if it cannot be started, and once it is gone after an abort
   */
  static async start(begin: StartPictureProcess, signal: AbortSignal): Promise<PictureProcess> {
    const started = new PictureProcess(begin());
    const timer = setTimeout(() => void started.kill(), startMs);
    const unsubscribe = onAbort(signal, () => void started.kill());
    let cause: unknown;
    try {
      const message = await started.#read();
      if (message && parseReply(message).type === 'ready' && !started.isOver) return started;
    } catch (error) {
      cause = error;
    } finally {
      clearTimeout(timer);
      unsubscribe();
    }
    // Another program may have been started, which would go on.
    throw new Error(`It ended with ${await started.kill()}.`, { cause });
  }

  /** Whether it has ended, or is about to. */
  get isOver(): boolean {
    return this.#isOver || this.#child.killed;
  }

  /** Whether it knows of the picture that it was asked for last. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Resident memory after the last picture, in bytes. */
  get rss(): number {
    return this.#rss;
  }

  /** Whether it keeps this process running. */
  hold(isHeld: boolean): void {
    const handles = [this.#child, this.#child.stdin as Socket | null, this.#child.stdout as Socket | null];
    for (const handle of handles) isHeld ? handle?.ref() : handle?.unref();
  }

  /**
   * Prepares one picture. The process is over after an abort, and if it went beyond a limit or crashed.
   *
   * @throws MediaError
   * @throws `signal.reason` once the process is gone
   */
  async run(job: PictureJob, signal: AbortSignal): Promise<PreparedContent> {
    const unsubscribe = onAbort(signal, () => void this.kill());
    try {
      this.#ask(job);
      const content = await this.#answer(job);
      signal.throwIfAborted();
      return content;
    } catch (error) {
      if (!MediaError.isInstance(error) || this.isOver) await this.kill();
      signal.throwIfAborted();
      if (error instanceof ProtocolError) throw crashed(job.input.name, error.message, error);
      throw error;
    } finally {
      unsubscribe();
    }
  }

  /** Resolves with how it ended. */
  kill(): Promise<string> {
    // Whoever waits for the end must not find this process ended before.
    if (!this.#isOver) {
      this.hold(true);
      endGroup(this.#child);
    }
    return this.#exit;
  }

  #ask({ input: { data, ...input }, settings, limits }: PictureJob): void {
    this.#hasBegun = false;
    const { maxPages, maxSide, maxTiles } = settings;
    const pictures = Math.max(maxPages, maxTiles + 1);
    this.#maxReplyBytes = pictures * maxSide * maxSide * mostBytesPerPixel + headersBytes;
    const isPath = typeof data === 'string';
    const request: PictureRequest = { input: isPath ? { ...input, path: data } : input, settings, limits };
    writeMessage(this.#child.stdin as Writable, request, isPath ? [] : [data]);
  }

  async #answer({ admit, input, limits, report }: PictureJob): Promise<PreparedContent> {
    for (;;) {
      const message = await this.#read();
      if (!message) throw crashed(input.name, await this.kill());
      const reply = parseReply(message);
      if (reply.type === 'begun') {
        this.#hasBegun = true;
        continue;
      }
      if (reply.type === 'progress') {
        report(reply.done);
        continue;
      }
      if (reply.type === 'sized') {
        writeMessage(
          this.#child.stdin as Writable,
          verdictOn(() => admit(reply.pixels)),
        );
        continue;
      }
      if (reply.type === 'over') {
        await this.kill();
        throw overLimit(input.name, reply.limit, limits);
      }
      if (reply.type === 'ready') throw new ProtocolError('Ready again.');
      this.#rss = reply.rss;
      if (reply.type === 'failed') throw new MediaError(reply.reason, reply.message);
      return assemble(reply, message.payloads, input);
    }
  }

  /** `undefined` after the last. */
  async #read(): Promise<WireMessage | undefined> {
    return (await this.#replies.next()).value ?? undefined;
  }
}

/** Ends the process, and the ffmpeg that it may have started. */
function endGroup(child: ChildProcess): void {
  child.kill('SIGKILL');
  if (!hasOwnGroup || child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: none of it is left, or it was started without a group. EPERM: so says macOS of one that just ended.
    if (!/ESRCH|EPERM/.test(String((error as NodeJS.ErrnoException).code))) throw error;
  }
}

function verdictOn(admit: () => void): PictureVerdict {
  try {
    admit();
    return {};
  } catch (error) {
    if (MediaError.isInstance(error)) return { refusal: error.message };
    throw error;
  }
}

function parseReply({ header }: WireMessage): PictureReply {
  const { data, error } = pictureReplySchema.safeParse(header);
  if (data) return data;
  throw new ProtocolError('An answer that is none.', { cause: error });
}

function assemble(
  { content, isInput }: Extract<PictureReply, { type: 'done' }>,
  payloads: readonly Uint8Array[],
  { data: given }: ImageInput,
): PreparedContent {
  // Copied, because the result may be kept while the caller goes on with its buffer.
  const pictures = isInput && typeof given !== 'string' ? [Uint8Array.from(given)] : payloads;
  const parts = content.parts.flatMap((part, i) => {
    const data = pictures[i];
    return data ? [{ ...part, data }] : [];
  });
  if (parts.length !== content.parts.length || parts.length !== pictures.length)
    throw new ProtocolError(`${pictures.length} pictures for ${content.parts.length} parts.`);
  return { ...content, parts };
}

function crashed(name: string, how: string, cause?: unknown): MediaError {
  return new MediaError(
    'corrupt',
    `"${name}" cannot be decoded: the process that decodes pictures ended on it (${how}). Save the picture again in another program, or send it as JPEG.`,
    { cause },
  );
}

function overLimit(name: string, limit: 'memory' | 'cpu', { memoryBytes, cpuMs }: PictureLimits): MediaError {
  const sentence =
    limit === 'memory'
      ? `"${name}" takes more than ${Math.round(memoryBytes / 2 ** 20)} MiB of memory to decode. Send a smaller picture, or raise maxPictureMemoryBytes.`
      : `"${name}" takes more than ${cpuMs / 1000} s of processor time to decode. Send a smaller picture, or raise maxPictureCpuMs.`;
  return new MediaError('too-large', sentence);
}
