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
  return {
    neighbors: index.neighbors,
    shownAt: index.shownAt,
    packets: (selection) => Readable.from(upToDamage(index.read(selection)), streamOptions),
    close: index.close,
    span,
    firstMs: track.firstSeconds * 1000,
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

function spanOf({ firstSeconds, endSeconds }: TrackDescription): Span {
  // What lies before zero was cut away by an edit list.
  return { startMs: Math.max(0, firstSeconds) * 1000, endMs: endSeconds * 1000 };
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
