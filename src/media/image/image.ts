import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { MediaError } from '../../core/errors.js';
import type { MediaSourceInfo, PreparedPart } from '../../core/media.js';
import { imageTokens } from '../../core/media-tokens.js';
import { fitInside } from '../frame/encode-frame.js';
import { loadSharp } from '../frame/sharp-module.js';
import type { MediaSettings } from '../media-options.js';
import { pictureType } from '../model-accepts.js';
import type { PreparedContent } from '../work/prepared-content.js';
import type { ReportProgress } from '../work/progress.js';
import { planTiles, type Tile } from './tiles.js';

export interface ImageInput {
  readonly name: string;
  readonly mimeType: string;
  readonly bytes: number;
  /** The bytes of the picture, or the path of a file with them. */
  readonly data: Uint8Array | string;
}

type Settings = Pick<
  MediaSettings,
  'detail' | 'maxPixels' | 'maxSide' | 'maxPages' | 'maxTiles' | 'quality' | 'timeoutMs'
>;
type OpenPage = (page: number) => Sharp;

/** A JPEG up to this size is sent as it is, if nothing about it needs changing. */
const passThroughBytes = 512 * 1024;
/** To show page n of an animation all pages before it are decoded, so their number is bounded. */
const maxAnimationPages = 1000;
/** Browsers show frames that ask for less than 20 ms for 100 ms. */
const shortestDelayMs = 20;
const usualDelayMs = 100;

/**
 * A picture as upright sRGB JPEG on white, within `maxSide`. Of an animation it shows moments spread
 * over the loop, with timestamps; of a multi-page picture the first pages; of one finer than `maxSide`
 * shows up to `maxTiles` enlarged parts after the whole.
 *
 * @throws MediaError `corrupt`, `too-large`, `timeout`
 */
export async function prepareImage(
  input: ImageInput,
  settings: Settings,
  report: ReportProgress,
  signal: AbortSignal,
): Promise<PreparedContent> {
  const sharp = await loadSharp();
  const options: SharpOptions = {
    limitInputPixels: settings.maxPixels,
    failOn: 'error',
    sequentialRead: true,
  };
  const open: OpenPage = (page) =>
    sharp(input.data, { ...options, page, pages: 1 }).timeout({
      seconds: Math.ceil(settings.timeoutMs / 1000),
    });
  try {
    report('probing');
    const metadata = await sharp(input.data, options).metadata();
    checkSize(metadata, input.name, settings.maxPixels);
    const parts = await encode(open, metadata, input, settings, report, signal);
    return {
      parts,
      estimatedTokens: parts.length * imageTokens(settings.detail),
      source: describe(metadata, input),
      note: noteOmissions(metadata, parts.length),
    };
  } catch (error) {
    if (MediaError.isInstance(error) || signal.aborted) throw error;
    throw asMediaError(error, input.name);
  }
}

async function encode(
  open: OpenPage,
  metadata: Metadata,
  input: ImageInput,
  settings: Settings,
  report: ReportProgress,
  signal: AbortSignal,
): Promise<readonly PreparedPart[]> {
  const { detail } = settings;
  const jpeg = { mimeType: pictureType, ...(detail && { detail }) };
  if (typeof input.data !== 'string' && isReadyToSend(metadata, input.bytes, settings.maxSide)) {
    // Still decoded, because a damaged picture has to be refused here and not by the model.
    await open(0).raw().toBuffer();
    // Copied, because the result may be kept while the caller goes on with its buffer.
    return [{ ...jpeg, data: Uint8Array.from(input.data) }];
  }
  const pages = choosePages(metadata, settings.maxPages);
  const tiles: readonly Tile[] =
    pages.length === 1 ? planTiles(uprightSize(metadata), settings.maxSide, settings.maxTiles) : [];
  const parts: PreparedPart[] = [];
  for (const { page, timestampMs } of pages) {
    signal.throwIfAborted();
    report('encoding', parts.length / (pages.length + tiles.length));
    const data = await toJpeg(open(page), uprightSize(metadata), metadata, settings);
    parts.push({ ...jpeg, data, ...(timestampMs !== undefined && { timestampMs }) });
  }
  for (const tile of tiles) {
    signal.throwIfAborted();
    report('encoding', parts.length / (1 + tiles.length));
    const { left, top, width, height, ...place } = tile;
    const area = open(0).autoOrient().extract({ left, top, width, height });
    parts.push({ ...jpeg, data: await toJpeg(area, tile, metadata, settings), tile: place });
  }
  return parts;
}

/** @param size of the picture once it is upright; explicit, because `inside` rounds the short side of a panorama to nothing. */
function toJpeg(
  picture: Sharp,
  size: { readonly width: number; readonly height: number },
  metadata: Metadata,
  settings: Settings,
): Promise<Uint8Array> {
  const { maxSide, quality } = settings;
  picture.autoOrient();
  if (metadata.hasAlpha) picture.flatten({ background: '#ffffff' });
  return picture
    .resize({ ...fitInside(size, maxSide), fit: 'fill' })
    .toColorspace('srgb')
    .jpeg({ quality })
    .toBuffer();
}

function isReadyToSend(metadata: Metadata, bytes: number, maxSide: number): boolean {
  return (
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

/** The pages to show, with the time of each when they are an animation. */
function choosePages(
  metadata: Metadata,
  maxPages: number,
): readonly { page: number; timestampMs?: number | undefined }[] {
  const count = metadata.pages ?? 1;
  if (count === 1) return [{ page: 0 }];
  if (!metadata.delay) return Array.from({ length: Math.min(count, maxPages) }, (_, page) => ({ page }));
  return spreadOverLoop(metadata.delay.slice(0, Math.min(count, maxAnimationPages)).map(shownFor), maxPages);
}

function spreadOverLoop(
  delays: readonly number[],
  wanted: number,
): readonly { page: number; timestampMs: number }[] {
  const starts: number[] = [];
  let totalMs = 0;
  for (const delay of delays) {
    starts.push(totalMs);
    totalMs += delay;
  }
  if (starts.length <= wanted) return starts.map((timestampMs, page) => ({ page, timestampMs }));
  const chosen = new Set<number>();
  for (let slice = 0; slice < wanted; slice += 1) {
    const middleMs = ((slice + 0.5) * totalMs) / wanted;
    chosen.add(starts.filter((startMs) => startMs <= middleMs).length - 1);
  }
  return [...chosen].map((page) => ({ page, timestampMs: starts[page] ?? 0 }));
}

function shownFor(delayMs: number): number {
  return delayMs < shortestDelayMs ? usualDelayMs : delayMs;
}

function uprightSize(metadata: Metadata): { width: number; height: number } {
  const width = metadata.width;
  const height = metadata.pageHeight ?? metadata.height;
  return (metadata.orientation ?? 1) >= 5 ? { width: height, height: width } : { width, height };
}

function describe(metadata: Metadata, input: ImageInput): MediaSourceInfo {
  const durationMs = metadata.delay?.map(shownFor).reduce((sum, delay) => sum + delay, 0);
  return {
    mimeType: input.mimeType,
    bytes: input.bytes,
    ...uprightSize(metadata),
    ...((metadata.pages ?? 1) > 1 && durationMs && { durationMs }),
  };
}

function noteOmissions(metadata: Metadata, shown: number): string | undefined {
  const pages = metadata.pages ?? 1;
  if (metadata.delay) {
    return pages > maxAnimationPages
      ? `Only the first ${maxAnimationPages} of ${pages} frames were looked at.`
      : undefined;
  }
  return pages > shown ? `Only the first ${shown} of ${pages} pages are shown.` : undefined;
}

function checkSize(metadata: Metadata, name: string, maxPixels: number): void {
  const { width, height } = uprightSize(metadata);
  if (width * height > maxPixels) throw tooManyPixels(name);
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

function tooManyPixels(name: string, cause?: unknown): MediaError {
  return new MediaError(
    'too-large',
    `"${name}" has more pixels than are accepted. Send a smaller picture, or raise maxPixels.`,
    { cause },
  );
}
