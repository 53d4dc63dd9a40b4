import type { Readable } from 'node:stream';
import { type FfmpegLimits, runFfmpeg } from '../../ffmpeg/ffmpeg.js';
import { type FfmpegBinary, timesFilter } from '../../ffmpeg/ffmpeg-location.js';
import type { ColorHint } from '../../frame/colors.js';
import { encodeFrame, type FrameShape } from '../../frame/encode-frame.js';
import type { MediaSettings } from '../../media-options.js';
import type { Excerpt } from '../../source/excerpt.js';
import { asJpegs, asPixels, asSmallPixels, type FrameOutput } from './frame-output.js';
import { type Thumbnail, thumbnailOf } from './thumbnail.js';

/** One frame as it is sent. */
export interface VideoFrame {
  readonly data: Uint8Array;
  readonly timestampMs: number;
  /** If requested. */
  readonly thumbnail?: Thumbnail | undefined;
}

/** Whether each frame is later than the one before it. Damaged or mislabeled clips may violate that. */
export function areInOrder(frames: readonly VideoFrame[]): boolean {
  return frames.every(({ timestampMs }, i) => timestampMs > (frames[i - 1]?.timestampMs ?? -1));
}

/**
 * The size of the frames changes within the clip. One run of ffmpeg then chooses wrong frames, and squeezes
 * them into the first shape.
 */
export class FrameSizeChange extends Error {}

/** What every way of getting frames needs. */
export interface FrameContext {
  readonly name: string;
  readonly demuxer: string;
  readonly binary: FfmpegBinary;
  readonly excerpt: Excerpt | undefined;
  readonly settings: MediaSettings & FfmpegLimits;
  readonly signal: AbortSignal;
  /** Called with the number of frames that are ready. */
  readonly onFrame: (ready: number) => void;
}

export interface DecodeRequest {
  readonly input: { readonly path: string } | { readonly stream: Readable };
  readonly demuxer: string;
  readonly inputOptions: readonly string[];
  /** `-map` and limits of the output. */
  readonly outputOptions: readonly string[];
  /** The filters that choose frames; those for colors and shape follow. */
  readonly select: readonly string[];
  readonly colors: ColorHint;
  /** Given if ffmpeg cannot know how to put the frame upright. */
  readonly shape?: FrameShape | undefined;
  /** Added to the time that ffmpeg reports. */
  readonly offsetMs: number;
  /** More frames than this are not read. */
  readonly limit: number;
  /** Whether the frames are to be compared with each other. */
  readonly withThumbnails?: boolean | undefined;
}

/** Runs ffmpeg once and takes each frame as it comes, so that only one is ever held decoded. */
export async function decodeFrames(
  request: DecodeRequest,
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  const frames = await decode(request, outputOf(request, context.settings), context, context.onFrame);
  return frames.map(({ value, timestampMs }) => ({ ...value, timestampMs }));
}

function outputOf(
  { colors, shape, withThumbnails }: DecodeRequest,
  settings: FrameContext['settings'],
): FrameOutput<Omit<VideoFrame, 'timestampMs'>> {
  // Only these are needed as pixels here, which are twenty times the bytes and have to be encoded again.
  if (!withThumbnails && !colors.wide) return asJpegs(colors, shape, settings);
  return asPixels(colors, shape, settings, async (frame) => {
    const data = await encodeFrame(frame, shape, settings);
    return { data, ...(withThumbnails && { thumbnail: thumbnailOf(frame) }) };
  });
}

/** Runs ffmpeg once for frames that are only compared with each other. */
export async function decodeThumbnails(
  request: DecodeRequest,
  context: FrameContext,
): Promise<readonly Thumbnail[]> {
  // Blocks that were not smoothed make no difference to the mean of a cell.
  const inputOptions = [...request.inputOptions, '-skip_loop_filter', 'all'];
  const output = asSmallPixels(request.colors, context.settings, thumbnailOf);
  const frames = await decode({ ...request, inputOptions }, output, context, () => undefined);
  return frames.map(({ value }) => value);
}

/** Frames leave with times of their own: ffmpeg rounds to the frame rate, and stops if two become one. */
const farApart = 'settb=1,setpts=N*3600';

async function decode<T>(
  request: DecodeRequest,
  output: FrameOutput<T>,
  { binary, name, settings, signal }: FrameContext,
  onFrame: (ready: number) => void,
): Promise<readonly { readonly value: T; readonly timestampMs: number }[]> {
  const times: number[] = [];
  const values: T[] = [];
  let hasChanged = false;
  const { refused } = await runFfmpeg(
    binary,
    {
      name,
      input: request.input,
      demuxer: request.demuxer,
      inputOptions: request.inputOptions,
      outputOptions: [
        ...request.outputOptions,
        ...['-an', '-sn', '-dn'],
        '-filter:v',
        [...request.select, ...output.filters, binary.logTimes, farApart].join(','),
        ...binary.passthrough,
        ...output.options,
      ],
      onLog: (line) => {
        if (!line.includes(`@${timesFilter} `)) return;
        // "n: 0 pts: 12800 pts_time:1 " or "frame:0    pts:12800   pts_time:1", as the filter has it.
        const [, number, seconds] = /\b(?:n|frame): *(\d+) .*\bpts_time: *(-?[\d.]+)/.exec(line) ?? [];
        // ffmpeg makes new filters for another size of frames, and those count anew.
        if (times.length >= request.limit) return;
        if (Number(number) === 0 && times.length > 0) hasChanged = true;
        if (seconds) times.push(Number(seconds) * 1000 + request.offsetMs);
      },
      consume: async (stream) => {
        for await (const value of output.read(stream, name)) {
          signal.throwIfAborted();
          if (hasChanged) throw new FrameSizeChange();
          if (values.length >= request.limit) continue;
          values.push(value);
          onFrame(values.length);
        }
      },
    },
    settings,
    signal,
  );
  if (hasChanged) throw new FrameSizeChange();
  if (refused && values.length < request.limit) throw refused;
  return values
    .slice(0, times.length)
    .map((value, i) => ({ value, timestampMs: Math.max(0, Math.round(times[i] ?? 0)) }));
}
