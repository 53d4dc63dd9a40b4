import type { EncodedPacket } from 'mediabunny';
import type { FrameShape } from '../encode-frame.js';
import type { Span } from '../excerpt.js';
import type { SniffedFormat } from '../sniff.js';
import type { LocalSource } from '../source.js';
import type { ColourHint } from './decode-frames.js';
import { guessMatrix } from './decode-frames.js';
import { openIndex } from './index-thread.js';
import { PacketFinder } from './packet-finder.js';
import type { KeyframeNeighbours } from './plan.js';
import type { TrackDescription } from './serve-indexes.js';
import { breakLink, unitLengthBytes } from './splice.js';

/** The index of a clip's packets, read without decoding and mostly without reading the packets. */
export interface PacketIndex {
  readonly input: { dispose(): void };
  readonly track: {
    getDecoderConfig(): Promise<VideoDecoderConfig | null>;
    /** In seconds. */
    getFirstTimestamp(): Promise<number>;
  };
  readonly sink: PacketFinder;
  readonly span: Span;
  readonly codec: string;
  /** Bytes that tell the length of each unit in a packet, for codecs that are made of units. */
  readonly lengthBytes: number;
  readonly shape: FrameShape;
  readonly codedPixels: number;
  readonly colours: ColourHint;
  readonly hasAudio: boolean;
}

const metadataOnly = { metadataOnly: true } as const;

/**
 * Opens the index of a container that mediabunny reads reliably; nothing when it knows no video codec
 * in it.
 *
 * @throws Error for a damaged index.
 */
export async function openPacketIndex(
  source: LocalSource,
  indexer: NonNullable<SniffedFormat['indexer']>,
): Promise<PacketIndex | undefined> {
  const { data } = source;
  const index = await openIndex({ indexer, data, path: data ? undefined : await source.path() });
  const { track } = index;
  const span = track && spanOf(track);
  if (!track || !span || !(span.endMs > span.startMs)) {
    index.close();
    return undefined;
  }
  const { EncodedPacket } = await import('mediabunny');
  return {
    input: { dispose: () => index.close() },
    track: {
      getDecoderConfig: async () => track.decoderConfig,
      getFirstTimestamp: async () => track.firstSeconds,
    },
    sink: new PacketFinder(index, EncodedPacket),
    span,
    codec: track.codec,
    lengthBytes: unitLengthBytes(track.decoderConfig?.description),
    hasAudio: track.hasAudio,
    ...looksOf(track),
  };
}

function spanOf({ firstSeconds, endSeconds }: TrackDescription): Span {
  // What lies before zero was cut away by an edit list.
  return { startMs: Math.max(0, firstSeconds) * 1000, endMs: endSeconds * 1000 };
}

/** The names that ffmpeg's scale filter has for WebCodecs' colour matrices. */
const matrixNames: Readonly<Record<string, string>> = {
  bt709: 'bt709',
  bt470bg: 'bt601',
  smpte170m: 'bt601',
  'bt2020-ncl': 'bt2020',
};

function looksOf(track: TrackDescription): Pick<PacketIndex, 'shape' | 'codedPixels' | 'colours'> {
  const { rotation, flip, squareWidth, squareHeight, codedWidth, codedHeight } = track;
  const { matrix, fullRange } = track.colours;
  const turned = rotation % 180 !== 0;
  return {
    shape: {
      ...{ rotation, flip },
      ...{ width: turned ? squareHeight : squareWidth, height: turned ? squareWidth : squareHeight },
    },
    codedPixels: codedWidth * codedHeight,
    colours: {
      matrix: (matrix && matrixNames[matrix]) ?? guessMatrix(codedHeight),
      fullRange: fullRange === true,
    },
  };
}

/** The keyframes around each target. */
export async function findNeighbours(
  { sink }: PacketIndex,
  targetsMs: readonly number[],
): Promise<readonly KeyframeNeighbours[]> {
  const neighbours: KeyframeNeighbours[] = [];
  for (const targetMs of targetsMs) {
    const before =
      (await sink.getKeyPacket(targetMs / 1000, metadataOnly)) ??
      (await sink.getFirstKeyPacket(metadataOnly));
    if (!before) return [];
    const after = await sink.getNextKeyPacket(before, metadataOnly);
    neighbours.push({
      targetMs,
      beforeMs: before.timestamp * 1000,
      afterMs: after ? after.timestamp * 1000 : undefined,
    });
  }
  return neighbours;
}

/** The frame on screen at an instant, without its data. */
export function frameAt({ sink }: PacketIndex, instantMs: number): Promise<EncodedPacket | null> {
  return sink.getPacket(instantMs / 1000, metadataOnly);
}

/** A keyframe to which decoding leaps. */
function entryAt({ codec, lengthBytes }: PacketIndex, key: EncodedPacket): EncodedPacket {
  return codec === 'hevc' ? breakLink(key, lengthBytes) : key;
}

/** The keyframes themselves, in order. */
export async function* keyPackets(
  index: PacketIndex,
  timesMs: readonly number[],
): AsyncGenerator<EncodedPacket> {
  for (const timeMs of timesMs) {
    const packet = await index.sink.getKeyPacket(timeMs / 1000 + nudgeSeconds);
    if (packet) yield entryAt(index, packet);
  }
}

/** A microsecond, so that a time that went through milliseconds still finds the packet that begins then. */
const nudgeSeconds = 1e-6;

/**
 * Everything that has to be decoded to see the wanted frames, in the order of decoding: from the
 * keyframe before each up to the frame itself, and nothing twice.
 */
export async function* packetsUpTo(
  index: PacketIndex,
  wanted: readonly EncodedPacket[],
): AsyncGenerator<EncodedPacket> {
  const { sink } = index;
  let current: EncodedPacket | null = null;
  for (const frame of wanted) {
    const key: EncodedPacket | null = await sink.getKeyPacket(frame.timestamp, metadataOnly);
    if (!key) continue;
    const continues: boolean = current !== null && current.sequenceNumber >= key.sequenceNumber;
    current = continues && current ? current : await sink.getKeyPacket(key.timestamp);
    if (!current) continue;
    if (!continues) yield entryAt(index, current);
    while (current.sequenceNumber < frame.sequenceNumber) {
      const next: EncodedPacket | null = await sink.getNextPacket(current);
      if (!next) break;
      current = next;
      yield current;
    }
  }
}
