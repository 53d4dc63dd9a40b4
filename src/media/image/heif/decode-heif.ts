import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { MediaError } from '../../../core/errors.js';
import { type FfmpegLimits, runFfmpeg } from '../../ffmpeg/ffmpeg.js';
import { type RgbFrame, readPpmFrames } from '../../frame/ppm.js';
import { toSrgb, type WideColors } from '../../frame/tone-map.js';
import type { ImageWork } from '../image-settings.js';
import { makeTiff } from '../make-tiff.js';
import { ffmpegOf, type ImageInput, tooManyPixels } from '../outline.js';
import { type HeifColors, type HeifPicture, readHeifPicture } from './heif-picture.js';

/** Coded pictures are smaller than this at any quality. */
const mostBytesPerPixel = 4;

/**
 * A HEIC as TIFF with the same orientation and colors. sharp's own build has no HEVC, and
 * ffmpeg reads such files only from version 7 on; but every ffmpeg decodes the HEVC in them. `libheif-js` 1.23
 * (LGPL-3, 8.5 MB) would replace the parser beside this file, but takes 400 MB and 5 s for 48 megapixels in one
 * call of WebAssembly, which no timer can watch.
 *
 * @throws MediaError `corrupt`, `unsupported`, `too-large`, `unavailable`
 */
export async function heifToTiff(
  input: ImageInput,
  limits: FfmpegLimits,
  { admit, signal }: ImageWork,
): Promise<Uint8Array> {
  const { bytes, data, name } = input;
  if (bytes > mostBytesPerPixel * limits.maxPixels) throw tooManyPixels(name);
  const picture = find(typeof data === 'string' ? await readFile(data) : data, name);
  if (picture.width * picture.height > limits.maxPixels) throw tooManyPixels(name);
  await admit(picture.width * picture.height);
  const { file, pixels } = makeTiff({ ...picture, profile: picture.colors.profile });
  const binary = ffmpegOf(input);
  const wide = wideColors(picture.colors);
  let placed = 0;
  await runFfmpeg(
    binary,
    {
      name,
      input: { stream: Readable.from(picture.tiles) },
      demuxer: 'hevc',
      outputOptions: [
        ...['-filter:v', `${scaleFilter(picture.colors)},format=rgb24`],
        ...[...binary.passthrough, '-c:v', 'ppm', '-f', 'image2pipe'],
      ],
      consume: async (output) => {
        for await (const tile of readPpmFrames(output, name, limits.maxPixels, pixels)) {
          signal.throwIfAborted();
          if (!fits(tile, picture)) throw damaged(name);
          if (wide) toSrgb(tile, wide);
          if (placed < picture.tiles.length) place(tile, placed, picture, pixels);
          placed += 1;
        }
      },
    },
    limits,
    signal,
  );
  if (placed < picture.tiles.length) throw damaged(name);
  return file;
}

function find(file: Uint8Array, name: string): HeifPicture {
  let picture: HeifPicture | undefined;
  try {
    picture = readHeifPicture(file);
  } catch (error) {
    if (error instanceof RangeError) throw damaged(name, error);
    throw error;
  }
  if (picture && picture.width > 0 && picture.height > 0) return picture;
  throw new MediaError(
    'unsupported',
    `"${name}" holds no single HEIC picture: it is a sequence, or coded in another way than is read here. Convert it to JPEG, or a sequence to MP4.`,
  );
}

/** Whether the tiles cover the picture and none lies outside of it. */
function fits(tile: RgbFrame, { width, height, crop, columns, rows }: HeifPicture): boolean {
  const [right, bottom] = [crop.left + width, crop.top + height];
  const covers = tile.width * columns >= right && tile.height * rows >= bottom;
  return covers && tile.width * (columns - 1) < right && tile.height * (rows - 1) < bottom;
}

function place(tile: RgbFrame, number: number, picture: HeifPicture, pixels: Buffer): void {
  const { columns, crop, height, width } = picture;
  const left = (number % columns) * tile.width - crop.left;
  const top = Math.floor(number / columns) * tile.height - crop.top;
  const from = Math.max(0, -left);
  const to = Math.min(tile.width, width - left);
  for (let y = Math.max(0, -top); y < Math.min(tile.height, height - top); y += 1) {
    const row = tile.data.subarray((y * tile.width + from) * 3, (y * tile.width + to) * 3);
    pixels.set(row, ((top + y) * width + left + from) * 3);
  }
}

/** The names that ffmpeg's scale filter has for the matrices of H.273. */
const matrixNames: Readonly<Record<number, string>> = {
  1: 'bt709',
  4: 'fcc',
  5: 'bt601',
  6: 'bt601',
  7: 'smpte240m',
  9: 'bt2020',
};

function scaleFilter({ fullRange, matrix }: HeifColors): string {
  const name = matrix === undefined ? undefined : matrixNames[matrix];
  const options = [
    'flags=bicubic+accurate_rnd+full_chroma_int',
    ...(name ? [`in_color_matrix=${name}`] : []),
    ...(fullRange === undefined ? [] : [`in_range=${fullRange ? 'pc' : 'tv'}`]),
  ];
  return `scale=${options.join(':')}`;
}

const transferNames: Readonly<Record<number, 'pq' | 'hlg'>> = { 16: 'pq', 18: 'hlg' };
const bt2020 = 9;

/** `undefined` if an ICC profile is present, or if the colors are those of sRGB. */
function wideColors({ primaries, profile, transfer = 0 }: HeifColors): WideColors | undefined {
  const bright = transferNames[transfer];
  if (profile || (!bright && primaries !== bt2020)) return undefined;
  return { transfer: bright ?? 'sdr', primaries: primaries === bt2020 ? 'bt2020' : 'bt709' };
}

function damaged(name: string, cause?: unknown): MediaError {
  return new MediaError(
    'corrupt',
    `"${name}" is a HEIC picture that cannot be decoded: it is damaged, or this ffmpeg lacks HEVC. Send it as JPEG; iPhones take those with Settings, Camera, Formats, Most Compatible.`,
    { cause },
  );
}
