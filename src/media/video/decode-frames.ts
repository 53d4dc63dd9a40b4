import type { Readable } from 'node:stream';
import { encodeFrame, type FrameShape, fitInside } from '../encode-frame.js';
import type { Excerpt } from '../excerpt.js';
import { type FfmpegLimits, runFfmpeg } from '../ffmpeg.js';
import type { FfmpegBinary } from '../ffmpeg-location.js';
import type { MediaSettings } from '../media-options.js';
import { type RgbFrame, readPpmFrames } from '../ppm.js';
import type { ColourHint } from './colours.js';
import { type Thumbnail, thumbnailHeight, thumbnailOf, thumbnailWidth } from './thumbnail.js';
import { toSrgb } from './tone-map.js';

/** One frame as it is sent. */
export interface VideoFrame {
  readonly data: Uint8Array;
  readonly timestampMs: number;
  /** Where that was asked for. */
  readonly thumbnail?: Thumbnail | undefined;
}

/** Whether each frame is later than the one before it; what ffmpeg says of damaged or lying clips may not be. */
export function areInOrder(frames: readonly VideoFrame[]): boolean {
  return frames.every(({ timestampMs }, i) => timestampMs > (frames[i - 1]?.timestampMs ?? -1));
}

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
  /** The filters that choose frames; colours and shape are seen to after them. */
  readonly select: readonly string[];
  readonly colours: ColourHint;
  /** Given when ffmpeg cannot know how to put the frame upright. */
  readonly shape?: FrameShape | undefined;
  /** Added to the time that ffmpeg reports. */
  readonly offsetMs: number;
  /** More frames than this are not read. */
  readonly limit: number;
  /** Whether the frames are to be compared with each other. */
  readonly withThumbnails?: boolean | undefined;
}

/** Runs ffmpeg once and encodes each frame as it comes, so that only one is ever held decoded. */
export async function decodeFrames(
  request: DecodeRequest,
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  const { settings } = context;
  let ready = 0;
  const encode = async (frame: RgbFrame) => {
    const data = await encodeFrame(frame, request.shape, settings);
    ready += 1;
    context.onFrame(ready);
    return { data, ...(request.withThumbnails && { thumbnail: thumbnailOf(frame) }) };
  };
  const frames = await decode(request, scaleFilter(request, settings.maxSide), encode, context);
  return frames.map(({ value, timestampMs }) => ({ ...value, timestampMs }));
}

/** Runs ffmpeg once for frames that are only compared with each other. */
export async function decodeThumbnails(
  request: DecodeRequest,
  context: FrameContext,
): Promise<readonly Thumbnail[]> {
  // Blocks that were not smoothed make no difference to the mean of a cell.
  const inputOptions = [...request.inputOptions, '-skip_loop_filter', 'all'];
  const scale = `scale=w=${thumbnailWidth}:h=${thumbnailHeight}:flags=area`;
  const frames = await decode({ ...request, inputOptions }, scale, thumbnailOf, context);
  return frames.map(({ value }) => value);
}

async function decode<T>(
  request: DecodeRequest,
  scale: string,
  convert: (frame: RgbFrame) => T | Promise<T>,
  { binary, settings, signal }: FrameContext,
): Promise<readonly { readonly value: T; readonly timestampMs: number }[]> {
  const times: number[] = [];
  const values: T[] = [];
  await runFfmpeg(
    binary,
    {
      input: request.input,
      demuxer: request.demuxer,
      inputOptions: request.inputOptions,
      outputOptions: [
        ...request.outputOptions,
        '-an',
        '-sn',
        '-dn',
        '-filter:v',
        [...request.select, scale, 'format=rgb24', binary.logTimes].join(','),
        ...binary.passthrough,
        '-c:v',
        'ppm',
        '-f',
        'image2pipe',
      ],
      onLog: (line) => {
        // "n: 0 pts: 12800 pts_time:1 " or "frame:0    pts:12800   pts_time:1", as the filter has it.
        const seconds = /^\[Parsed_.*\bpts_time:\s*(-?[\d.]+)/.exec(line)?.[1];
        if (seconds && times.length < request.limit) times.push(Number(seconds) * 1000 + request.offsetMs);
      },
      consume: async (output) => {
        for await (const frame of readPpmFrames(output, settings.maxPixels)) {
          signal.throwIfAborted();
          if (values.length >= request.limit) continue;
          if (request.colours.wide) toSrgb(frame, request.colours.wide);
          values.push(await convert(frame));
        }
      },
    },
    settings,
    signal,
  );
  return values
    .slice(0, times.length)
    .map((value, i) => ({ value, timestampMs: Math.max(0, Math.round(times[i] ?? 0)) }));
}

/** A lying aspect ratio must not blow a small frame up without bounds. */
const largestStretch = 4;

/**
 * One pass of the scaler for the size, the pixel shape and the colours, so that no more pixels than are
 * sent are converted and carried over. What is small enough already is not resampled.
 */
function scaleFilter({ colours, shape }: DecodeRequest, maxSide: number): string {
  const { matrix, fullRange } = colours;
  const options = [
    ...(shape ? sizeOf(shape, maxSide) : measuredSize(maxSide)),
    'flags=bicubic+accurate_rnd+full_chroma_int',
    ...(matrix ? [`in_color_matrix=${matrix}`] : []),
    ...(fullRange ? ['in_range=pc'] : []),
  ];
  return `scale=${options.join(':')}`;
}

/** The size that is sent, as it is before the frame is put upright. */
function sizeOf(shape: FrameShape, maxSide: number): string[] {
  const { width, height } = fitInside(shape, maxSide);
  return shape.rotation % 180 === 0 ? [`w=${width}`, `h=${height}`] : [`w=${height}`, `h=${width}`];
}

/** The same, worked out by ffmpeg from what each frame says of its pixels. */
function measuredSize(maxSide: number): string[] {
  const width = `iw*clip(sar,1,${largestStretch})`;
  const height = `ih*clip(1/sar,1,${largestStretch})`;
  const scale = `min(1,${maxSide}/max(${width},${height}))`;
  return [`w='max(1,round(${width}*${scale}))'`, `h='max(1,round(${height}*${scale}))'`];
}
