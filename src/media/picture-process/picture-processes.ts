import { prepareImage } from '../image/image.js';
import type { PreparedContent } from '../work/prepared-content.js';
import { type PictureJob, PictureProcess } from './picture-process.js';
import { pictureProcessStarts } from './start-picture-process.js';

/** A process without work is ended after this. */
const idleMs = 30_000;
/** When a process cannot be started it is not tried again before this. */
const retryStartMs = 60_000;
/** A process that keeps this share of its memory after a picture is replaced. */
const keptMemoryShare = 0.6;

/**
 * The processes that decode pictures, apart from this one: a picture that crashes the decoder, never ends or
 * fills the memory costs only its own process, and none occupies the threads that Node reads files and looks
 * up names with. There are as many as pictures are prepared at once; they wait for the next for a while.
 */
export class PictureProcesses {
  readonly #idle: { readonly process: PictureProcess; readonly timer: NodeJS.Timeout }[] = [];
  readonly #ending = new Set<Promise<unknown>>();
  #noStartBefore = 0;
  #closed = false;

  /**
   * @throws MediaError for a picture that cannot be decoded within the limits
   * @throws `signal.reason` once its process is gone
   */
  async run(job: PictureJob, signal: AbortSignal): Promise<PreparedContent> {
    const worker = await this.#obtain(signal);
    if (!worker) return prepareHere(job, signal);
    // Nothing is known of its memory before its first picture.
    const isNew = worker.rss === 0;
    worker.hold(true);
    try {
      return await worker.run(job, signal);
    } catch (error) {
      // It had ended before, unseen; the picture is not to blame.
      if (signal.aborted || worker.hasBegun || isNew) throw error;
    } finally {
      this.#release(worker, job.limits.memoryBytes);
    }
    return this.run(job, signal);
  }

  /** Ends the processes that have no work. Those at work end with the signals of their pictures. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { process, timer } of this.#idle.splice(0)) {
      clearTimeout(timer);
      this.#end(process);
    }
    await Promise.all(this.#ending);
  }

  /** `undefined` if none can be started. */
  async #obtain(signal: AbortSignal): Promise<PictureProcess | undefined> {
    signal.throwIfAborted();
    for (let waiting = this.#idle.pop(); waiting; waiting = this.#idle.pop()) {
      clearTimeout(waiting.timer);
      if (!waiting.process.isOver) return waiting.process;
    }
    if (Date.now() < this.#noStartBefore) return undefined;
    let reason: unknown;
    for (const start of pictureProcessStarts) {
      try {
        return await PictureProcess.start(start, signal);
      } catch (error) {
        signal.throwIfAborted();
        reason = error;
      }
    }
    this.#noStartBefore = Date.now() + retryStartMs;
    warnOfMissingProcess(String(reason));
    return undefined;
  }

  #release(worker: PictureProcess, memoryBytes: number): void {
    if (worker.isOver) return;
    if (this.#closed || worker.rss > memoryBytes * keptMemoryShare) {
      this.#end(worker);
      return;
    }
    worker.hold(false);
    const forget = () => {
      this.#idle.splice(this.#idle.indexOf(entry), 1);
      this.#end(worker);
    };
    const entry = { process: worker, timer: setTimeout(forget, idleMs).unref() };
    this.#idle.push(entry);
  }

  #end(worker: PictureProcess): void {
    const ending = worker.kill();
    this.#ending.add(ending);
    void ending.then(() => this.#ending.delete(ending));
  }
}

async function prepareHere(
  { admit, input, report, settings }: PictureJob,
  signal: AbortSignal,
): Promise<PreparedContent> {
  const content = await prepareImage(input, settings, {
    admit,
    report: (_, done = 0) => report(done),
    signal,
  });
  // Copied, because the result may be kept while the caller goes on with its buffer.
  const own = (data: Uint8Array) => (data === input.data ? Uint8Array.from(data) : data);
  return { ...content, parts: content.parts.map((part) => ({ ...part, data: own(part.data) })) };
}

let hasWarned = false;

/** Pictures are still shown, but one made to do harm is decoded in this process, which would go unnoticed. */
function warnOfMissingProcess(reason: string): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    `The process that decodes pictures cannot start, so they are decoded in this one, where a picture that is made to do harm can fill its memory or end it. If a bundler was used, copy node_modules/multimodal-chat/dist/picture-process.cjs beside the bundle, or leave multimodal-chat out of it. (${reason})`,
    { code: 'MULTIMODAL_CHAT_PICTURE_PROCESS' },
  );
}
