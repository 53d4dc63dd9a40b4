import type { EncodedPacket, EncodedPacketSink, Input, InputVideoTrack } from 'mediabunny';
import type { FrameShape } from '../encode-frame.js';
import type { Span } from '../excerpt.js';
import type { SniffedFormat } from '../sniff.js';
import type { LocalSource } from '../source.js';
import type { ColourHint } from './decode-frames.js';
import { guessMatrix } from './decode-frames.js';
import type { KeyframeNeighbours } from './plan.js';
import { breakLink, unitLengthBytes } from './splice.js';

/** The index of a clip's packets, read without decoding and mostly without reading the packets. */
export interface PacketIndex {
  readonly input: Input;
  readonly track: InputVideoTrack;
  readonly sink: EncodedPacketSink;
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

/** Opens the index of a container that mediabunny reads reliably; nothing when it knows no video codec in it. */
export async function openPacketIndex(
  source: LocalSource,
  indexer: NonNullable<SniffedFormat['indexer']>,
): Promise<PacketIndex | undefined> {
  const mediabunny = await import('mediabunny');
  // Read errors of data that nobody waits for any more must not end the process.
  const data = source.data
    ? new mediabunny.BufferSource(source.data)
    : new mediabunny.FilePathSource(await source.path(), { handleUnhandledError: () => undefined });
  stopEndlessReads(data);
  const input = new mediabunny.Input({ source: data, formats: [mediabunny[indexer]] });
  try {
    const track = await input.getPrimaryVideoTrack();
    const codec = await track?.getCodec();
    if (track && codec) {
      const span = await spanOf(track);
      const hasAudio = (await input.getPrimaryAudioTrack()) !== null;
      const sink = new mediabunny.EncodedPacketSink(track);
      const lengthBytes = unitLengthBytes((await track.getDecoderConfig())?.description);
      if (span.endMs > span.startMs)
        return { input, track, sink, span, codec, lengthBytes, hasAudio, ...(await looksOf(track)) };
    }
  } catch (error) {
    input.dispose();
    throw error;
  }
  input.dispose();
  return undefined;
}

/** The one method of a mediabunny source through which all its readers read. It is not in its types. */
interface Readable {
  _read(start: number, end: number, ...rest: unknown[]): unknown;
}

/** Parsers read a place again now and then, but never this often without reading another in between. */
const maxRepeatedReads = 1000;

/**
 * mediabunny 1.61 searches for the next element of a damaged Matroska file in a loop that never ends
 * when it finds none, reading the same eight bytes for ever without giving way to any timer.
 */
function stopEndlessReads(source: object): void {
  const readable = source as Readable;
  const read = readable._read;
  let last = '';
  let repeated = 0;
  readable._read = (start, end, ...rest) => {
    const range = `${start}-${end}`;
    repeated = range === last ? repeated + 1 : 0;
    last = range;
    if (repeated > maxRepeatedReads) throw new Error('The index is damaged: reading it makes no progress.');
    return read.call(source, start, end, ...rest);
  };
}

async function spanOf(track: InputVideoTrack): Promise<Span> {
  const end = (await track.getDurationFromMetadata()) ?? (await track.computeDuration());
  // What lies before zero was cut away by an edit list.
  return { startMs: Math.max(0, await track.getFirstTimestamp()) * 1000, endMs: end * 1000 };
}

/** The names that ffmpeg's scale filter has for WebCodecs' colour matrices. */
const matrixNames: Readonly<Record<string, string>> = {
  bt709: 'bt709',
  bt470bg: 'bt601',
  smpte170m: 'bt601',
  'bt2020-ncl': 'bt2020',
};

async function looksOf(
  track: InputVideoTrack,
): Promise<Pick<PacketIndex, 'shape' | 'codedPixels' | 'colours'>> {
  const [rotation, flip] = [await track.getRotation(), await track.getFlip()];
  const [width, height] = [await track.getSquarePixelWidth(), await track.getSquarePixelHeight()];
  const { matrix, fullRange } = await track.getColorSpace();
  const codedHeight = await track.getCodedHeight();
  const turned = rotation % 180 !== 0;
  return {
    shape: { rotation, flip, width: turned ? height : width, height: turned ? width : height },
    codedPixels: (await track.getCodedWidth()) * codedHeight,
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
