import type { Worker } from 'node:worker_threads';
import type { KeyframeNeighbors, Moment } from '../plan.js';
import type {
  IndexAnswer,
  IndexCall,
  IndexLocation,
  IndexMessage,
  IndexQuestion,
  IndexValue,
  PacketSelection,
  TrackDescription,
} from './index-messages.js';
import { type StartWorker, workerStarts } from './start-worker.js';

/** Far above what any sound index takes: an answer that takes longer means an endless loop. */
const answerMs = 5000;
/** Loading takes a tenth of a second on an idle machine. */
const startMs = 30_000;
/** The sample tables of ten hours fit into it; a table that lies about its length fills any memory. */
const maxHeapMb = 512;

interface Waiting {
  readonly question: IndexQuestion;
  readonly settle: (answer: IndexAnswer) => void;
  timer?: NodeJS.Timeout;
}

/**
 * The thread that reads packet indexes. A few wrong bytes in a file send mediabunny 1.61 into loops that
 * never yield to a timer, or that fill the heap until the process dies: here they cost only this thread.
 * Long tables are also read beside everything else.
 */
class IndexThread {
  readonly #starts: StartWorker[] = [...workerStarts];
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #asked = 0;
  #isReady = false;
  #failure: string | undefined;

  constructor() {
    this.#start(undefined);
  }

  get isOver(): boolean {
    return this.#failure !== undefined;
  }

  /** Rejects when the call fails, takes too long, or ends the thread. */
  ask(index: number, call: IndexCall): Promise<IndexValue> {
    if (this.#failure !== undefined) return Promise.reject(new Error(this.#failure));
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((resolve, reject) => {
      const settle = ({ value, error }: IndexAnswer) => {
        clearTimeout(this.#waiting.get(id)?.timer);
        this.#waiting.delete(id);
        if (this.#waiting.size === 0) this.#worker?.unref();
        if (error === undefined) resolve(value);
        else reject(new Error(error));
      };
      const waiting: Waiting = { question: { id, index, call }, settle };
      this.#waiting.set(id, waiting);
      this.#worker?.ref();
      if (this.#isReady) this.#post(waiting);
    });
  }

  /** Tries the next way to start the worker; `cause` is why the one before failed. */
  #start(cause: unknown): void {
    const start = this.#starts.shift();
    if (!start) {
      warnOfMissingWorker(String(cause));
      this.#end(`The index worker cannot start: ${String(cause)}`);
      return;
    }
    let worker: Worker;
    try {
      worker = start({
        execArgv: [],
        resourceLimits: { maxOldGenerationSizeMb: maxHeapMb, maxYoungGenerationSizeMb: 4 },
      });
    } catch (error) {
      this.#start(error);
      return;
    }
    this.#worker = worker;
    if (this.#waiting.size === 0) worker.unref();
    const fail = (error: unknown) => {
      clearTimeout(timer);
      if (worker !== this.#worker) return;
      if (this.#isReady) return this.#end(`Reading the index failed: ${String(error)}`);
      terminate(worker);
      this.#start(error);
    };
    const timer = setTimeout(() => fail(new Error(`It was not ready after ${startMs} ms.`)), startMs).unref();
    worker.on('message', (message: IndexMessage) => {
      if (message !== 'ready') return this.#waiting.get(message.id)?.settle(message);
      clearTimeout(timer);
      this.#isReady = true;
      for (const waiting of this.#waiting.values()) this.#post(waiting);
    });
    worker.on('error', fail);
    worker.on('exit', () => fail(new Error('The index worker has ended.')));
  }

  #post(waiting: Waiting): void {
    waiting.timer = setTimeout(() => this.#end('Reading the index does not end.'), answerMs);
    this.#worker?.postMessage(waiting.question);
  }

  #end(failure: string): void {
    this.#failure ??= failure;
    const worker = this.#worker;
    this.#worker = undefined;
    for (const [id, { settle }] of this.#waiting) settle({ id, error: this.#failure });
    if (worker) terminate(worker);
  }
}

function terminate(worker: Worker): void {
  // No more is asked of it, so it does not matter whether it still had to be stopped.
  worker.terminate().catch(() => undefined);
}

let hasWarned = false;

/** Clips are still shown, but slowly, which would go unnoticed. */
function warnOfMissingWorker(reason: string): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    `The worker that reads the packet indexes of clips cannot start, so ffmpeg reads each clip through instead, which takes many times as long. If a bundler was used, copy node_modules/multimodal-chat/dist/index-worker.cjs beside the bundle, or leave multimodal-chat out of it. (${reason})`,
    { code: 'MULTIMODAL_CHAT_INDEX_WORKER' },
  );
}

let current: IndexThread | undefined;
let opened = 0;

/** The index of one clip, read in the thread. */
export interface OpenIndex {
  /** `undefined` if the container has no video track in a codec that mediabunny knows. */
  readonly track: TrackDescription | undefined;
  /** The keyframes around each target. */
  neighbors(targetsMs: readonly number[]): Promise<readonly KeyframeNeighbors[]>;
  /** The times of the frames at these moments, each once. */
  shownAt(moments: readonly Moment[]): Promise<readonly number[]>;
  /** The packets that have to be decoded to see some frames, as Matroska. One at a time. */
  read(selection: PacketSelection): AsyncGenerator<Uint8Array>;
  close(): void;
}

/** @throws Error for an index that is damaged or takes too long to read, and if the worker cannot start. */
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
      neighbors: async (targets) => (await ask({ neighbors: targets })) as readonly KeyframeNeighbors[],
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
