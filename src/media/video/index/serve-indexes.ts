import type { MessagePort } from 'node:worker_threads';
import type { EncodedPacketSink, Input, InputVideoTrack, StreamTargetChunk } from 'mediabunny';
import { describeTrack, findNeighbors, findShown, packetsUpTo, writeMatroska } from './clip-reader.js';
import { unitFormat } from './coded-units.js';
import type {
  IndexAnswer,
  IndexLocation,
  IndexMessage,
  IndexQuestion,
  IndexValue,
  PacketSelection,
} from './index-messages.js';

type Mediabunny = typeof import('mediabunny');

interface Clip {
  readonly track: InputVideoTrack;
  readonly sink: EncodedPacketSink;
  readonly codec: string;
}

/** One index that the main thread has open. */
class ServedIndex {
  readonly #mediabunny: Mediabunny;
  readonly #input: Input;
  #clip: Clip | undefined;
  #written: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(mediabunny: Mediabunny, { data, path, indexer }: IndexLocation) {
    this.#mediabunny = mediabunny;
    const source = data
      ? new mediabunny.BufferSource(data)
      : // A read error after the clip was closed must not end the worker.
        new mediabunny.FilePathSource(path ?? '', { maxCacheSize, handleUnhandledError: () => undefined });
    stopEndlessReads(source);
    this.#input = new mediabunny.Input({ source, formats: [mediabunny[indexer]] });
  }

  async open(): Promise<IndexValue> {
    const track = await this.#input.getPrimaryVideoTrack();
    const codec = await track?.getCodec();
    if (!track || !codec) return undefined;
    this.#clip = { track, codec, sink: new this.#mediabunny.EncodedPacketSink(track) };
    return describeTrack(this.#input, track, codec);
  }

  async answer(
    call: Exclude<IndexQuestion['call'], { open: unknown } | { close: unknown }>,
  ): Promise<IndexValue> {
    const clip = this.#clip;
    if (!clip) throw new Error('The clip has no video track.');
    if ('neighbors' in call) return findNeighbors(clip.sink, call.neighbors);
    if ('shownAt' in call) return findShown(clip.sink, call.shownAt);
    if ('write' in call) return this.#write(clip, call.write);
    return (await this.#written?.read())?.value;
  }

  async close(): Promise<void> {
    await this.#written?.cancel();
    this.#input.dispose();
  }

  async #write({ track, sink, codec }: Clip, { timesMs, shiftMs }: PacketSelection): Promise<undefined> {
    const config = await track.getDecoderConfig();
    const packets = packetsUpTo(sink, codec, timesMs, unitFormat(codec, config?.description));
    let fail: (error: unknown) => void = () => undefined;
    const { readable, writable } = new TransformStream<StreamTargetChunk, Uint8Array>({
      start: (controller) => {
        fail = (error) => controller.error(error);
      },
      transform: ({ data }, controller) => controller.enqueue(data),
    });
    await this.#written?.cancel();
    this.#written = readable.getReader();
    writeMatroska(this.#mediabunny, track, packets, shiftMs / 1000, writable).catch(fail);
    return undefined;
  }
}

const maxCacheSize = 2 ** 21;
/** Parsers read a place again now and then, but never this often without reading another in between. */
const maxRepeatedReads = 1000;

/**
 * mediabunny 1.61 searches for the next element of some damaged Matroska files in an endless loop that
 * reads the same few places. Stopping it here is cheap; otherwise the worker would have to be ended.
 * All readers of mediabunny go through this method, which is not in its types.
 */
function stopEndlessReads(source: object): void {
  const readable = source as { _read(start: number, end: number, ...rest: unknown[]): unknown };
  const read = readable._read;
  const recent: string[] = [];
  let repeated = 0;
  readable._read = (start, end, ...rest) => {
    const range = `${start}-${end}`;
    repeated = recent.includes(range) ? repeated + 1 : 0;
    if (repeated === 0 && recent.push(range) > 4) recent.shift();
    if (repeated > maxRepeatedReads) throw new Error('Reading the index makes no progress.');
    return read.call(source, start, end, ...rest);
  };
}

/** Answers the questions about packet indexes that come through `port`, and says first that it is ready. */
export function serveIndexes(port: MessagePort, mediabunny: Mediabunny): void {
  const opened = new Map<number, ServedIndex>();

  const answer = async ({ index, call }: IndexQuestion): Promise<IndexValue> => {
    if ('open' in call) {
      const served = new ServedIndex(mediabunny, call.open);
      opened.set(index, served);
      return served.open();
    }
    const served = opened.get(index);
    if ('close' in call) {
      opened.delete(index);
      await served?.close();
      return undefined;
    }
    if (!served) throw new Error('The index is closed.');
    return served.answer(call);
  };

  port.on('message', async (question: IndexQuestion) => {
    const { id } = question;
    try {
      const value = await answer(question);
      const transfer = value instanceof Uint8Array ? [value.buffer as ArrayBuffer] : [];
      port.postMessage({ id, value } satisfies IndexAnswer, transfer);
    } catch (error) {
      port.postMessage({ id, error: String(error) } satisfies IndexAnswer);
    }
  });
  port.postMessage('ready' satisfies IndexMessage);
}
