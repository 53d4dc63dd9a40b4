import { Worker } from 'node:worker_threads';
import type {
  IndexAnswer,
  IndexCall,
  IndexLocation,
  IndexQuestion,
  IndexValue,
  PacketSelection,
  TrackDescription,
} from './index-messages.js';
import type { KeyframeNeighbours, Moment } from './plan.js';
import { threadProgram } from './thread-program.js';

/** Far above what any sound index takes; whoever waits longer has met a loop that never ends. */
const patienceMs = 5000;
/** The sample tables of ten hours fit into it; a table that lies about its length fills any memory. */
const maxHeapMb = 512;

/**
 * The thread that reads packet indexes. A few wrong bytes in a file send mediabunny 1.61 into loops that
 * never give way to a timer, or that fill the heap until the process dies: here they cost only this
 * thread. Long tables are also read beside everything else.
 */
class IndexThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { settle: (answer: IndexAnswer) => void; timer: NodeJS.Timeout }>();
  #asked = 0;
  #failure: string | undefined;
  #hasAnswered = false;

  constructor() {
    this.#worker = new Worker(threadProgram(), {
      eval: true,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMb, maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.unref();
    this.#worker.on('message', (answer: IndexAnswer) => {
      this.#hasAnswered = true;
      this.#waiting.get(answer.id)?.settle(answer);
    });
    this.#worker.on('error', (error: NodeJS.ErrnoException) => {
      // A file can bring it down, by filling the heap above all; a program that has answered is not broken.
      const isOfFile = this.#hasAnswered || error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      if (!isOfFile) warnOfBrokenThread(String(error));
      this.#end(`Reading the index failed: ${String(error)}`);
    });
    this.#worker.on('exit', () => this.#end('The thread that reads indexes has ended.'));
  }

  get isOver(): boolean {
    return this.#failure !== undefined;
  }

  /** Rejects when the call fails, takes too long, or brings the thread down. */
  ask(index: number, call: IndexCall): Promise<IndexValue> {
    if (this.#failure !== undefined) return Promise.reject(new Error(this.#failure));
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#end('Reading the index does not come to an end.'), patienceMs);
      const settle = ({ value, error }: IndexAnswer) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        if (this.#waiting.size === 0) this.#worker.unref();
        if (error === undefined) return resolve(value);
        // No file brings this about: a function was sent to the thread without something that it uses.
        if (error.startsWith('ReferenceError')) warnOfBrokenThread(error);
        reject(new Error(error));
      };
      this.#waiting.set(id, { settle, timer });
      this.#worker.ref();
      this.#worker.postMessage({ id, index, call } satisfies IndexQuestion);
    });
  }

  #end(failure: string): void {
    this.#failure ??= failure;
    for (const [id, { settle }] of this.#waiting) settle({ id, error: this.#failure });
    // Whether it still had to be stopped changes nothing: no more is asked of it.
    this.#worker.terminate().catch(() => undefined);
  }
}

let hasWarned = false;

/** Clips are then shown all the same, but slowly, so that nobody would know. */
function warnOfBrokenThread(reason: string): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    `The thread that reads packet indexes cannot do its work, so ffmpeg reads each clip through instead, which takes many times as long. Where a bundler was used, leave multimodal-chat and mediabunny out of the bundle. ${reason}`,
    { code: 'MULTIMODAL_CHAT_INDEX_THREAD' },
  );
}

let current: IndexThread | undefined;
let opened = 0;

/** The index of one clip, read in the thread. */
export interface OpenIndex {
  /** Nothing when the container has no video track in a codec that mediabunny knows. */
  readonly track: TrackDescription | undefined;
  /** The keyframes around each target. */
  neighbours(targetsMs: readonly number[]): Promise<readonly KeyframeNeighbours[]>;
  /** The times of the frames at these moments, each once. */
  shownAt(moments: readonly Moment[]): Promise<readonly number[]>;
  /** What has to be decoded to see some frames, as Matroska. One at a time. */
  read(selection: PacketSelection): AsyncGenerator<Uint8Array>;
  close(): void;
}

/** @throws Error for a damaged index, also for one that nothing can be made of in time. */
export async function openIndex(location: IndexLocation): Promise<OpenIndex> {
  if (!current || current.isOver) current = new IndexThread();
  const thread = current;
  opened += 1;
  const index = opened;
  const ask = (call: IndexCall) => thread.ask(index, call);
  // A thread that has ended has closed all of them.
  const close = () => void ask({ close: true }).catch(() => undefined);
  try {
    const track = (await ask({ open: location })) as TrackDescription | undefined;
    return {
      track,
      neighbours: async (targets) => (await ask({ neighbours: targets })) as readonly KeyframeNeighbours[],
      shownAt: async (moments) => (await ask({ shownAt: moments })) as readonly number[],
      read: (selection) => read(ask, selection),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function* read(
  ask: (call: IndexCall) => Promise<IndexValue>,
  selection: PacketSelection,
): AsyncGenerator<Uint8Array> {
  await ask({ write: selection });
  for (;;) {
    const piece = (await ask({ read: true })) as Uint8Array | undefined;
    if (!piece) return;
    yield piece;
  }
}
