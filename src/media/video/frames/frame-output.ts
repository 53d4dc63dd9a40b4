import type { Readable } from 'node:stream';
import type { ColorHint } from '../../frame/colors.js';
import { type FrameShape, fitInside } from '../../frame/encode-frame.js';
import { jpegOptions, readJpegs } from '../../frame/jpeg-stream.js';
import { type RgbFrame, readPpmFrames } from '../../frame/ppm.js';
import { toSrgb } from '../../frame/tone-map.js';
import type { MediaSettings } from '../../media-options.js';
import { thumbnailHeight, thumbnailWidth } from './thumbnail.js';

/** How frames come out of ffmpeg, and what they are read as. */
export interface FrameOutput<T> {
  readonly filters: readonly string[];
  readonly options: readonly string[];
  /** @param name The clip, for messages. */
  read(stream: Readable, name: string): AsyncIterable<T>;
}

/** More than any frame takes. */
const [jpegHeaderBytes, jpegBytesPerPixel] = [2 ** 16, 4];

/** Frames as they are sent, upright and in the colors that JPEG has: BT.601 in the full range. */
export function asJpegs(
  colors: ColorHint,
  shape: FrameShape | undefined,
  { maxSide, quality }: Pick<MediaSettings, 'maxSide' | 'quality'>,
): FrameOutput<{ readonly data: Uint8Array }> {
  const maxBytes = jpegHeaderBytes + maxSide ** 2 * jpegBytesPerPixel;
  return {
    filters: [
      ...scaledToJpeg(colors, shape, maxSide),
      'format=yuvj420p',
      ...turnUpright(shape),
      // The pixels are square now.
      'setsar=1',
    ],
    options: jpegOptions(quality),
    async *read(stream, name) {
      for await (const data of readJpegs(stream, name, maxBytes)) yield { data };
    },
  };
}

/**
 * The size and the colors of a JPEG. The filter `colorspace` takes a third less time than the scaler, which
 * converts through RGB; it needs a known matrix, and fails for odd sizes.
 */
function scaledToJpeg(colors: ColorHint, shape: FrameShape | undefined, maxSide: number): string[] {
  const { fullRange, matrix } = colors;
  const space = matrix && hasEvenSize(shape, maxSide) && spaces[matrix];
  // Without accurate rounding an ffmpeg of 2018 gets colors wrong by 20 on its way from RGB.
  const flags = 'flags=bicubic+accurate_rnd:out_color_matrix=bt601:out_range=pc';
  if (!space) return [`${scaleFilter(colors, shape, maxSide)}:${flags}`];
  const range = fullRange ? 'pc' : 'tv';
  const primaries = 'iprimaries=bt709:primaries=bt709:itrc=bt709:trc=bt709';
  return [
    // Some clips are coded as RGB against their tags, so the output matrix is named as well.
    `${scaleFilter(colors, shape, maxSide)}:flags=bicubic+accurate_rnd:out_color_matrix=${matrix}:out_range=${range}`,
    `colorspace=ispace=${space}:space=bt470bg:irange=${range}:range=pc:${primaries}:format=yuv420p`,
  ];
}

/** The names that the filter `colorspace` has for the scaler's color matrices. */
const spaces: Readonly<Record<string, string>> = { bt709: 'bt709', bt601: 'bt470bg' };

function hasEvenSize(shape: FrameShape | undefined, maxSide: number): boolean {
  if (!shape) return false;
  const { width, height } = fitInside(shape, maxSide);
  return width % 2 === 0 && height % 2 === 0;
}

/** Frames as pixels that are still to be turned upright. */
export function asPixels<T>(
  colors: ColorHint,
  shape: FrameShape | undefined,
  { maxSide, maxPixels }: Pick<MediaSettings, 'maxSide' | 'maxPixels'>,
  convert: (frame: RgbFrame) => T | Promise<T>,
): FrameOutput<T> {
  const flags = 'flags=bicubic+accurate_rnd+full_chroma_int';
  return ofPixels(`${scaleFilter(colors, shape, maxSide)}:${flags}`, colors, maxPixels, convert);
}

/** Frames as few pixels of no particular shape. */
export function asSmallPixels<T>(
  colors: ColorHint,
  { maxPixels }: Pick<MediaSettings, 'maxPixels'>,
  convert: (frame: RgbFrame) => T | Promise<T>,
): FrameOutput<T> {
  const scale = `scale=w=${thumbnailWidth}:h=${thumbnailHeight}:flags=area`;
  return ofPixels(scale, colors, maxPixels, convert);
}

function ofPixels<T>(
  scale: string,
  { wide }: ColorHint,
  maxPixels: number,
  convert: (frame: RgbFrame) => T | Promise<T>,
): FrameOutput<T> {
  return {
    filters: [scale, 'format=rgb24'],
    options: ['-c:v', 'ppm', '-f', 'image2pipe'],
    async *read(stream, name) {
      for await (const frame of readPpmFrames(stream, name, maxPixels)) {
        if (wide) toSrgb(frame, wide);
        yield await convert(frame);
      }
    },
  };
}

function turnUpright(shape: FrameShape | undefined): readonly string[] {
  if (!shape) return [];
  const turns = { 0: [], 90: ['transpose=clock'], 180: ['hflip', 'vflip'], 270: ['transpose=cclock'] };
  return [...turns[shape.rotation], ...(shape.flip ? ['hflip'] : [])];
}

/** A false aspect ratio must not enlarge a small frame without bounds. */
const largestStretch = 4;

/**
 * One pass of the scaler for the size, the pixel shape and the colors, so that no more pixels than are
 * sent are converted and carried over. What is small enough already is not resampled.
 */
function scaleFilter(
  { matrix, fullRange }: ColorHint,
  shape: FrameShape | undefined,
  maxSide: number,
): string {
  const options = [
    ...(shape ? sizeOf(shape, maxSide) : measuredSize(maxSide)),
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

/** The same, computed by ffmpeg from the aspect ratio of each frame. */
function measuredSize(maxSide: number): string[] {
  const width = `iw*clip(sar,1,${largestStretch})`;
  const height = `ih*clip(1/sar,1,${largestStretch})`;
  const scale = `min(1,${maxSide}/max(${width},${height}))`;
  return [`w='max(1,round(${width}*${scale}))'`, `h='max(1,round(${height}*${scale}))'`];
}
