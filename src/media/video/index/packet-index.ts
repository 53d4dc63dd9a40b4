import { Readable } from 'node:stream';
import { type ColorHint, colorsOfTrack } from '../../frame/colors.js';
import type { FrameShape } from '../../frame/encode-frame.js';
import type { Span } from '../../source/excerpt.js';
import type { MediaFormat } from '../../source/formats.js';
import type { LocalSource } from '../../source/source.js';
import type { PacketSelection, TrackDescription } from './index-messages.js';
import { type OpenIndex, openIndex } from './index-thread.js';

/** The index of a clip's packets, read without decoding and mostly without reading the packets. */
export interface PacketIndex extends Pick<OpenIndex, 'neighbors' | 'shownAt' | 'close'> {
  readonly span: Span;
  /** When the first frame is shown; negative if an edit list cuts it away. */
  readonly firstMs: number;
  readonly codec: string;
  readonly shape: FrameShape;
  readonly codedPixels: number;
  readonly colors: ColorHint;
  readonly hasAudio: boolean;
  /**
   * The packets that have to be decoded to see some frames, as Matroska. The stream ends early at damage:
   * the packets before it may be decoded, and the number of frames shows the loss.
   */
  packets(selection: PacketSelection): Readable;
}

/**
 * Opens the index of a container that mediabunny reads reliably; `undefined` if it knows no video codec in
 * it.
 *
 * @throws Error for a damaged index.
 */
export async function openPacketIndex(
  source: LocalSource,
  indexer: NonNullable<MediaFormat['indexer']>,
): Promise<PacketIndex | undefined> {
  const { data } = source;
  const index = await openIndex({ indexer, data, path: data ? undefined : await source.path() });
  const { track } = index;
  const span = track && spanOf(track);
  if (!track || !span || !(span.endMs > span.startMs)) {
    index.close();
    return undefined;
  }
  // A cut from a live recording begins hours into it; frames are labeled from its own start.
  const originMs = originOf(track);
  const later = (ms: number) => ms + originMs;
  return {
    neighbors: async (targetsMs) =>
      (await index.neighbors(targetsMs.map(later))).map(({ targetMs, beforeMs, afterMs }) => ({
        targetMs: targetMs - originMs,
        beforeMs: beforeMs - originMs,
        afterMs: afterMs === undefined ? undefined : afterMs - originMs,
      })),
    shownAt: async (moments) => {
      const absolute = moments.map(({ fromMs, toMs }) => ({ fromMs: later(fromMs), toMs: later(toMs) }));
      return (await index.shownAt(absolute)).map((ms) => ms - originMs);
    },
    packets: ({ shiftMs, timesMs }) => {
      const selection = { timesMs: timesMs.map(later), shiftMs: shiftMs - originMs };
      return Readable.from(upToDamage(index.read(selection)), streamOptions);
    },
    close: index.close,
    span,
    firstMs: track.firstSeconds * 1000 - originMs,
    codec: track.codec,
    hasAudio: track.hasAudio,
    ...looksOf(track),
  };
}

const streamOptions = { objectMode: false, highWaterMark: 2 ** 19 };

async function* upToDamage(pieces: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch {
    // Damaged from here on.
    return;
  }
}

const originOf = ({ originSeconds }: TrackDescription) => Math.max(0, originSeconds) * 1000;

function spanOf(track: TrackDescription): Span {
  const originMs = originOf(track);
  // What lies before zero was cut away by an edit list.
  const startMs = Math.max(0, track.firstSeconds * 1000 - originMs);
  return { startMs, endMs: track.endSeconds * 1000 - originMs };
}

function looksOf(track: TrackDescription): Pick<PacketIndex, 'shape' | 'codedPixels' | 'colors'> {
  const { rotation, flip, squareWidth, squareHeight, codedWidth, codedHeight } = track;
  const turned = rotation % 180 !== 0;
  return {
    shape: {
      ...{ rotation, flip },
      ...{ width: turned ? squareHeight : squareWidth, height: turned ? squareWidth : squareHeight },
    },
    codedPixels: codedWidth * codedHeight,
    colors: colorsOfTrack(track.colors, codedHeight),
  };
}
