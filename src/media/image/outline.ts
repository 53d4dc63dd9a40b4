import { MediaError } from '../../core/errors.js';
import type { FfmpegBinary } from '../ffmpeg/ffmpeg-location.js';
import type { ImageSettings } from './image-settings.js';
import { rawMimePattern } from './raw-formats.js';
import { previewOf } from './raw-photo.js';
import type { Animation } from './structure/animation.js';
import { cutGif, readGif } from './structure/gif.js';
import { type PictureFile, withPictureFile } from './structure/picture-file.js';
import { readTiff, type TiffPage } from './structure/tiff.js';
import { cutWebp, readWebp } from './structure/webp.js';
import { colorChannels, realPages, refuseUnreadable } from './tiff-pages.js';

/** What there is to show of a picture, found without decoding any of it. */
export interface PictureOutline {
  /** The bytes to decode, or the path of a file with them. */
  readonly data: Uint8Array | string;
  /** Pages beside one another, by their numbers; `undefined` for a picture, or an animation. */
  readonly pages?: readonly number[] | undefined;
  /** How many channels of a page are colors, if more follow that are no transparency. */
  readonly colorChannels?: ReadonlyMap<number, number | undefined> | undefined;
  /** Frames of an animation, and how many of them are looked at. */
  readonly frames?: { readonly total: number; readonly looked: number } | undefined;
  /** How many are decoded at most; `undefined` for those of the picture itself. */
  readonly pixels?: number | undefined;
  readonly note?: string | undefined;
}

export interface ImageInput {
  /** For messages. */
  readonly name: string;
  readonly mimeType: string;
  readonly bytes: number;
  /** The bytes of the picture, or the path of a file with them. */
  readonly data: Uint8Array | string;
  /** For the formats that sharp does not read. */
  readonly ffmpeg?: FfmpegBinary | undefined;
}

/** To show a frame all frames before it are decoded, so their number and that of their pixels is bounded. */
const mostFramesLooked = 1000;
const mostPixelsDecoded = 500e6;

/**
 * Looks through the structure of a picture: its frames or pages, before anything decodes them.
 *
 * @throws MediaError `too-large`, `unsupported`
 */
export function outlinePicture(input: ImageInput, settings: ImageSettings): PictureOutline {
  const { mimeType } = input;
  return withPictureFile(input, (file) => {
    if (mimeType === 'image/gif') return outlineAnimation(file, input, settings, readGif, cutGif);
    if (mimeType === 'image/webp') return outlineAnimation(file, input, settings, readWebp, cutWebp);
    if (mimeType === 'image/tiff') return outlineTiff(file, input, settings);
    return rawMimePattern.test(mimeType) ? outlineRaw(file, input, settings) : { data: input.data };
  });
}

function outlineAnimation(
  file: PictureFile,
  { data, name }: ImageInput,
  settings: ImageSettings,
  read: (file: PictureFile, most: number) => Animation,
  cut: (file: PictureFile, end: number) => Uint8Array,
): PictureOutline {
  const { ends, height, showsGround, width } = read(file, settings.maxPictureFrames);
  if (ends.length > settings.maxPictureFrames) throw tooManyFrames(name, settings, 'frames');
  if (width * height > settings.maxPixels) throw tooManyPixels(name);
  // Each frame that is shown takes half of those that are looked at, on average.
  const passes = Math.max(1, settings.maxPages / 2);
  const affordable = Math.floor(mostPixelsDecoded / passes / Math.max(1, width * height));
  const looked = Math.min(ends.length, mostFramesLooked, Math.max(affordable, settings.maxPages));
  const pixels = width * height * looked;
  const end = ends[looked - 1];
  const isCut = end !== undefined && (looked < ends.length || showsGround);
  return { data: isCut ? cut(file, end) : data, frames: { total: ends.length, looked }, pixels };
}

function outlineTiff(file: PictureFile, input: ImageInput, settings: ImageSettings): PictureOutline {
  const pages = readTiff(file, settings.maxPictureFrames);
  if (pages.length > settings.maxPictureFrames) throw tooManyFrames(input.name, settings, 'pages');
  if (pages.some(({ isRaw }) => isRaw) || file.at(8, 2).toString('latin1') === 'CR')
    return outlineRaw(file, input, settings, pages);
  const numbers = realPages(pages);
  const shown = numbers.slice(0, settings.maxPages).flatMap((number): [number, TiffPage][] => {
    const page = pages[number];
    return page ? [[number, page]] : [];
  });
  for (const [, page] of shown) {
    if (page.width * page.height > settings.maxPixels) throw tooManyPixels(input.name);
    refuseUnreadable(page, input.name);
  }
  return {
    data: input.data,
    // What cannot be looked through is left to sharp.
    pages: numbers.length > 0 ? numbers : undefined,
    pixels: shown.reduce((sum, [, { height, width }]) => sum + width * height, 0) || undefined,
    colorChannels: new Map(shown.map(([number, page]) => [number, colorChannels(page)])),
  };
}

function outlineRaw(
  file: PictureFile,
  { name }: ImageInput,
  { maxPictureFrames }: ImageSettings,
  pages?: readonly TiffPage[],
): PictureOutline {
  const orientation = (pages ?? readTiff(cameraTags(file), maxPictureFrames))[0]?.orientation ?? 1;
  return {
    data: previewOf(file, name, orientation),
    note: 'This is the preview that the camera stored in its raw file.',
  };
}

/** @throws MediaError `unavailable` if none came along */
export function ffmpegOf({ ffmpeg, name }: ImageInput): FfmpegBinary {
  if (ffmpeg) return ffmpeg;
  throw new MediaError('unavailable', `"${name}" is decoded by ffmpeg, and there is none.`);
}

/** Where a CR3 keeps what the other formats begin with. */
function cameraTags(file: PictureFile): PictureFile {
  const box = file.at(0, 4096).indexOf('CMT1', 0, 'latin1');
  if (box < 0) return file;
  return { size: file.size - box - 4, at: (offset, length) => file.at(box + 4 + offset, length) };
}

function tooManyFrames(name: string, { maxPictureFrames }: ImageSettings, what: string): MediaError {
  return new MediaError(
    'too-large',
    `"${name}" has more than ${maxPictureFrames} ${what}. Send a part of it, or raise maxPictureFrames.`,
  );
}

export function tooManyPixels(name: string, cause?: unknown): MediaError {
  return new MediaError(
    'too-large',
    `"${name}" has more pixels than are accepted. Send a smaller picture, or raise maxPixels.`,
    { cause },
  );
}
