import type { Metadata, SharpOptions } from 'sharp';
import { MediaError } from '../../core/errors.js';
import type { MediaSourceInfo, PreparedPart } from '../../core/media.js';
import { imageTokens } from '../../core/media-tokens.js';
import { loadSharp } from '../frame/sharp-module.js';
import { pictureType } from '../model-accepts.js';
import { formats } from '../source/formats.js';
import type { PreparedContent } from '../work/prepared-content.js';
import { bitmapToTiff } from './bitmap.js';
import { type OpenPage, toJpeg, uprightSize } from './encode-picture.js';
import { heifToTiff } from './heif/decode-heif.js';
import type { ImageSettings, ImageWork } from './image-settings.js';
import { type ShownPage, shownFor, spreadOverLoop } from './loop.js';
import { type ImageInput, outlinePicture, type PictureOutline, tooManyPixels } from './outline.js';
import { planTiles, type Tile } from './tiles.js';

/** A JPEG up to this size is sent as it is, if nothing about it needs changing. */
const passThroughBytes = 512 * 1024;

/**
 * A picture as upright sRGB JPEG on white, within `maxSide`. Of an animation it shows moments spread
 * over the loop, with timestamps; of a multi-page picture the first pages; of one finer than `maxSide`
 * shows up to `maxTiles` enlarged parts after the whole.
 *
 * @throws MediaError `corrupt`, `too-large`, `timeout`, `unsupported`
 */
export async function prepareImage(
  input: ImageInput,
  settings: ImageSettings,
  work: ImageWork,
): Promise<PreparedContent> {
  const { report, signal } = work;
  try {
    const readable = await toReadable(input, settings, work);
    const outline = readable ? { data: readable } : outlinePicture(input, settings);
    const open = await opener(outline, settings);
    const first = await open(outline.pages?.[0] ?? 0);
    const { metadata } = first;
    const size = uprightSize(metadata);
    if (size.width * size.height > settings.maxPixels) throw tooManyPixels(input.name);
    if (!readable) await work.admit(outline.pixels ?? size.width * size.height);
    const delays = delaysOf(metadata, outline);
    const source = describe(metadata, input, delays);
    const rest = { estimatedTokens: imageTokens(settings.detail), source, note: outline.note };
    if (isReadyToSend(metadata, input, outline, settings.maxSide)) {
      // Still decoded, because a damaged picture has to be refused here and not by the model.
      await first.open().raw().toBuffer();
      return { ...rest, parts: [partOf(input.data as Uint8Array, settings)] };
    }
    const pages = choosePages(delays, outline, settings.maxPages);
    const tiles: readonly Tile[] =
      pages.length === 1 ? planTiles(size, settings.maxSide, settings.maxTiles) : [];
    const parts: PreparedPart[] = [];
    const next = () => {
      signal.throwIfAborted();
      report('encoding', parts.length / (pages.length + tiles.length));
    };
    for (const { page, timestampMs } of pages) {
      next();
      const opened = page === pages[0]?.page && !delays ? first : await open(page);
      const part = partOf(await toJpeg(opened, settings), settings);
      parts.push({ ...part, ...(timestampMs !== undefined && { timestampMs }) });
    }
    for (const tile of tiles) {
      next();
      const { left, top, width, height, ...place } = tile;
      const data = await toJpeg(first, settings, { left, top, width, height });
      parts.push({ ...partOf(data, settings), tile: place });
    }
    const estimatedTokens = parts.length * imageTokens(settings.detail);
    return { ...rest, parts, estimatedTokens, note: outline.note ?? noteOmissions(outline, pages.length) };
  } catch (error) {
    if (MediaError.isInstance(error) || signal.aborted) throw error;
    throw asMediaError(error, input.name);
  }
}

/** The picture in a format that sharp reads; `undefined` if its own is one. */
async function toReadable(
  input: ImageInput,
  settings: ImageSettings,
  work: ImageWork,
): Promise<Uint8Array | undefined> {
  if (input.mimeType === formats.heic.mimeType) return heifToTiff(input, settings, work);
  return input.mimeType === formats.bmp.mimeType ? bitmapToTiff(input, settings, work) : undefined;
}

/** Opens the pages of a picture by their numbers. */
async function opener(
  { colorChannels, data }: PictureOutline,
  { maxPixels, timeoutMs }: ImageSettings,
): Promise<(page: number) => Promise<OpenPage>> {
  const sharp = await loadSharp();
  const options: SharpOptions = { limitInputPixels: maxPixels, failOn: 'error', sequentialRead: true };
  const seconds = Math.ceil(timeoutMs / 1000);
  return async (wanted) => {
    const found = await sharp(data, { ...options, page: wanted }).metadata();
    // AVIF: tiles and thumbnails are pages to libvips.
    const page = found.format === 'heif' ? (found.pagePrimary ?? 0) : wanted;
    const metadata = page === wanted ? found : await sharp(data, { ...options, page }).metadata();
    const open = () => sharp(data, { ...options, page, pages: 1 }).timeout({ seconds });
    let isVideoAlpha: Promise<boolean> | undefined;
    const hasVideoAlpha = async () => {
      if (metadata.format !== 'heif' || !metadata.hasAlpha) return false;
      isVideoAlpha ??= isVideoRange(open().extractChannel(3).stats());
      return isVideoAlpha;
    };
    return { open, metadata, hasVideoAlpha, colorChannels: colorChannels?.get(page) };
  };
}

/** libheif 1.23 leaves limited range as it is. Nothing opaque and nothing invisible would be odd otherwise. */
async function isVideoRange(stats: Promise<import('sharp').Stats>): Promise<boolean> {
  const [alpha] = (await stats).channels;
  return alpha !== undefined && alpha.max <= 235 && alpha.min >= 16;
}

function partOf(data: Uint8Array, { detail }: ImageSettings): PreparedPart {
  return { mimeType: pictureType, data, ...(detail && { detail }) };
}

function isReadyToSend(
  metadata: Metadata,
  { bytes, data }: ImageInput,
  outline: PictureOutline,
  maxSide: number,
): boolean {
  return (
    typeof data !== 'string' &&
    outline.data === data &&
    metadata.format === 'jpeg' &&
    metadata.space === 'srgb' &&
    metadata.channels === 3 &&
    !metadata.isProgressive &&
    !metadata.hasProfile &&
    (metadata.orientation ?? 1) === 1 &&
    Math.max(metadata.width, metadata.height) <= maxSide &&
    bytes <= passThroughBytes
  );
}

/** How long each frame of an animation is seen; `undefined` for anything else. */
function delaysOf({ delay }: Metadata, { frames }: PictureOutline): readonly number[] | undefined {
  return frames && frames.total > 1 ? delay?.slice(0, frames.looked).map(shownFor) : undefined;
}

/** The pages to show, with the time of each when they are an animation. */
function choosePages(
  delays: readonly number[] | undefined,
  { pages = [0] }: PictureOutline,
  maxPages: number,
): readonly ShownPage[] {
  return delays ? spreadOverLoop(delays, maxPages) : pages.slice(0, maxPages).map((page) => ({ page }));
}

function describe(
  metadata: Metadata,
  { bytes, mimeType }: ImageInput,
  delays: readonly number[] | undefined,
): MediaSourceInfo {
  const durationMs = delays?.reduce((sum, delay) => sum + delay, 0);
  return { mimeType, bytes, ...uprightSize(metadata), ...(durationMs && { durationMs }) };
}

function noteOmissions({ frames, pages = [] }: PictureOutline, shown: number): string | undefined {
  if (frames && frames.looked < frames.total)
    return `Only the first ${frames.looked} of ${frames.total} frames were looked at.`;
  return pages.length > shown ? `Only the first ${shown} of ${pages.length} pages are shown.` : undefined;
}

function asMediaError(error: unknown, name: string): MediaError {
  const message = error instanceof Error ? error.message : String(error);
  if (/exceeds pixel limit|too large|bad dimensions/i.test(message)) return tooManyPixels(name, error);
  if (/timeout/i.test(message)) {
    return new MediaError('timeout', `"${name}" takes too long to decode. Send a smaller picture.`, {
      cause: error,
    });
  }
  return new MediaError('corrupt', `"${name}" is a damaged or incomplete picture. Save or upload it again.`, {
    cause: error,
  });
}
