import type { MessagePort } from 'node:worker_threads';
import type { EncodedPacketSink, Input, InputVideoTrack, StreamTargetChunk } from 'mediabunny';
import type * as clipReader from './clip-reader.js';
import type * as codedUnits from './coded-units.js';
import type { IndexAnswer, IndexLocation, IndexQuestion, PacketSelection } from './index-messages.js';

/** The functions that are sent to the thread with this one. */
export type ReaderParts = Pick<
  typeof clipReader & typeof codedUnits,
  | 'breakLink'
  | 'describeTrack'
  | 'findNeighbours'
  | 'findShown'
  | 'isDisposable'
  | 'packetsUpTo'
  | 'unitFormat'
  | 'unitHeaders'
  | 'writeMatroska'
>;

/**
 * Reads packet indexes for another thread. Its source text is what the thread is started with, so that
 * no bundler has to know of another file: nothing from outside this function can be used in it but types.
 */
export function serveIndexes(
  port: MessagePort,
  mediabunny: typeof import('mediabunny'),
  parts: ReaderParts,
): void {
  interface Clip {
    readonly track: InputVideoTrack;
    readonly sink: EncodedPacketSink;
    readonly codec: string;
  }
  interface Opened {
    readonly input: Input;
    readonly clip?: Clip;
    written?: ReadableStreamDefaultReader<Uint8Array>;
  }
  const opened = new Map<number, Opened>();
  const maxCacheSize = 2 ** 21;
  /** Parsers read a place again now and then, but never this often without reading another in between. */
  const maxRepeatedReads = 1000;

  /**
   * mediabunny 1.61 searches for the next element of some damaged Matroska files in a loop that never
   * ends, reading the same few places for ever. Told here, such a file costs nothing; the thread would be
   * given up otherwise. All its readers read through this method, which is not in its types.
   */
  const stopEndlessReads = (source: object) => {
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
  };

  const open = async (index: number, { data, path, indexer }: IndexLocation) => {
    const source = data
      ? new mediabunny.BufferSource(data)
      : // Read errors of data that nobody waits for any more must not end the thread.
        new mediabunny.FilePathSource(path ?? '', { maxCacheSize, handleUnhandledError: () => undefined });
    stopEndlessReads(source);
    const input = new mediabunny.Input({ source, formats: [mediabunny[indexer]] });
    opened.set(index, { input });
    const track = await input.getPrimaryVideoTrack();
    const codec = await track?.getCodec();
    if (!track || !codec) return undefined;
    opened.set(index, { input, clip: { track, codec, sink: new mediabunny.EncodedPacketSink(track) } });
    return parts.describeTrack(input, track, codec);
  };

  const close = async (index: number) => {
    const { input, written } = opened.get(index) ?? {};
    opened.delete(index);
    await written?.cancel();
    input?.dispose();
    return undefined;
  };

  const write = async (known: Opened, { track, sink, codec }: Clip, selection: PacketSelection) => {
    const config = await track.getDecoderConfig();
    const units = { ...parts, format: parts.unitFormat(codec, config?.description) };
    const packets = parts.packetsUpTo(sink, codec, selection.timesMs, units);
    let fail: (error: unknown) => void = () => undefined;
    const { readable, writable } = new TransformStream<StreamTargetChunk, Uint8Array>({
      start: (controller) => {
        fail = (error) => controller.error(error);
      },
      transform: ({ data }, controller) => controller.enqueue(data),
    });
    await known.written?.cancel();
    known.written = readable.getReader();
    parts.writeMatroska(mediabunny, track, packets, selection.shiftMs / 1000, writable).catch(fail);
    return undefined;
  };

  const answer = async ({ index, call }: IndexQuestion) => {
    if ('open' in call) return open(index, call.open);
    if ('close' in call) return close(index);
    const known = opened.get(index);
    if (!known?.clip) throw new Error('The index is closed.');
    if ('neighbours' in call) return parts.findNeighbours(known.clip.sink, call.neighbours);
    if ('shownAt' in call) return parts.findShown(known.clip.sink, call.shownAt);
    if ('write' in call) return write(known, known.clip, call.write);
    return (await known.written?.read())?.value;
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
}
