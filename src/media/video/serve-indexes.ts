import type { MessagePort } from 'node:worker_threads';
import type { EncodedPacket, EncodedPacketSink, Input, InputVideoTrack, PacketType } from 'mediabunny';
import type { SniffedFormat } from '../sniff.js';

/** Where a clip is, and as what to read it. */
export interface IndexLocation {
  readonly indexer: NonNullable<SniffedFormat['indexer']>;
  /** All bytes, or else the path of a file. */
  readonly data: Uint8Array | undefined;
  readonly path: string | undefined;
}

/** What a container says of its main video track. */
export interface TrackDescription {
  readonly codec: string;
  readonly hasAudio: boolean;
  readonly firstSeconds: number;
  readonly endSeconds: number;
  readonly rotation: 0 | 90 | 180 | 270;
  readonly flip: boolean;
  readonly squareWidth: number;
  readonly squareHeight: number;
  readonly codedWidth: number;
  readonly codedHeight: number;
  readonly colours: VideoColorSpaceInit;
  readonly decoderConfig: VideoDecoderConfig | null;
}

/** How to find a packet: at or before a time, or after another one. */
export type PacketQuery =
  | { readonly at: number; readonly keyOnly: boolean; readonly metadataOnly: boolean }
  | { readonly after: number | undefined; readonly keyOnly: boolean; readonly metadataOnly: boolean };

/** A packet on its way between threads. */
export interface SentPacket {
  /** By which `after` names it. */
  readonly handle: number;
  readonly data: Uint8Array;
  readonly type: PacketType;
  readonly timestamp: number;
  readonly duration: number;
  readonly sequenceNumber: number;
  readonly byteLength: number;
}

export type IndexCall =
  | { readonly open: IndexLocation }
  | { readonly find: PacketQuery }
  | { readonly close: true };

export interface IndexQuestion {
  readonly id: number;
  /** Which of the open indexes it is about. */
  readonly index: number;
  readonly call: IndexCall;
}

export interface IndexAnswer {
  readonly id: number;
  readonly value?: TrackDescription | SentPacket | null | undefined;
  readonly error?: string | undefined;
}

/**
 * Reads packet indexes for another thread. Its source text is what the thread is started with, so that
 * no bundler has to know of another file: nothing from outside this function can be used in it but types.
 */
export function serveIndexes(port: MessagePort, mediabunny: typeof import('mediabunny')): void {
  interface Opened {
    readonly input: Input;
    readonly sink?: EncodedPacketSink | undefined;
    readonly packets: Map<number, EncodedPacket>;
    readonly heavy: number[];
  }
  const opened = new Map<number, Opened>();
  /** Packets with data that may still be asked for what comes after them. */
  const keptHeavyPackets = 32;
  /** Parsers read a place again now and then, but never this often without reading another in between. */
  const maxRepeatedReads = 1000;
  let handles = 0;

  const close = (index: number) => {
    opened.get(index)?.input.dispose();
    opened.delete(index);
    return undefined;
  };

  const describe = async (input: Input, track: InputVideoTrack, codec: string): Promise<TrackDescription> => {
    const config = await track.getDecoderConfig();
    const description = config?.description as Uint8Array | undefined;
    return {
      codec,
      hasAudio: (await input.getPrimaryAudioTrack()) !== null,
      firstSeconds: await track.getFirstTimestamp(),
      endSeconds: (await track.getDurationFromMetadata()) ?? (await track.computeDuration()),
      rotation: await track.getRotation(),
      flip: await track.getFlip(),
      squareWidth: await track.getSquarePixelWidth(),
      squareHeight: await track.getSquarePixelHeight(),
      codedWidth: await track.getCodedWidth(),
      codedHeight: await track.getCodedHeight(),
      colours: await track.getColorSpace(),
      // Copied, because sending a view sends all that lies behind it.
      decoderConfig: config && { ...config, ...(description && { description: description.slice() }) },
    };
  };

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
        new mediabunny.FilePathSource(path ?? '', { handleUnhandledError: () => undefined });
    stopEndlessReads(source);
    const input = new mediabunny.Input({ source, formats: [mediabunny[indexer]] });
    opened.set(index, { input, packets: new Map(), heavy: [] });
    const track = await input.getPrimaryVideoTrack();
    const codec = await track?.getCodec();
    if (!track || !codec) return null;
    opened.set(index, {
      input,
      sink: new mediabunny.EncodedPacketSink(track),
      packets: new Map(),
      heavy: [],
    });
    return describe(input, track, codec);
  };

  const look = ({ sink, packets }: Opened, query: PacketQuery): Promise<EncodedPacket | null> => {
    const { keyOnly, metadataOnly } = query;
    if (!sink) throw new Error('The index is not open.');
    if ('at' in query)
      return keyOnly
        ? sink.getKeyPacket(query.at, { metadataOnly })
        : sink.getPacket(query.at, { metadataOnly });
    if (query.after === undefined)
      return keyOnly ? sink.getFirstKeyPacket({ metadataOnly }) : sink.getFirstPacket({ metadataOnly });
    const before = packets.get(query.after);
    if (!before) throw new Error('The packet was dropped meanwhile.');
    return keyOnly
      ? sink.getNextKeyPacket(before, { metadataOnly })
      : sink.getNextPacket(before, { metadataOnly });
  };

  const find = async (index: number, query: PacketQuery): Promise<SentPacket | null> => {
    const known = opened.get(index);
    if (!known) throw new Error('The index is closed.');
    const packet = await look(known, query);
    if (!packet) return null;
    handles += 1;
    known.packets.set(handles, packet);
    if (!query.metadataOnly) {
      known.heavy.push(handles);
      if (known.heavy.length > keptHeavyPackets) known.packets.delete(known.heavy.shift() ?? 0);
    }
    const { type, timestamp, duration, sequenceNumber, byteLength } = packet;
    const data = query.metadataOnly ? new Uint8Array(0) : packet.data.slice();
    return { handle: handles, data, type, timestamp, duration, sequenceNumber, byteLength };
  };

  const answer = ({ index, call }: IndexQuestion) => {
    if ('open' in call) return open(index, call.open);
    return 'find' in call ? find(index, call.find) : close(index);
  };

  port.on('message', async (question: IndexQuestion) => {
    const { id } = question;
    try {
      const value = await answer(question);
      const transfer = value && 'data' in value ? [value.data.buffer as ArrayBuffer] : [];
      port.postMessage({ id, value } satisfies IndexAnswer, transfer);
    } catch (error) {
      port.postMessage({ id, error: String(error) } satisfies IndexAnswer);
    }
  });
}
