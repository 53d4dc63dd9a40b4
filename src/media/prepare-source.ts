import { MediaError } from '../core/errors.js';
import { prepareDocument } from './document/document.js';
import { locateFfmpeg } from './ffmpeg/ffmpeg-location.js';
import { bitmapToPng } from './image/bitmap.js';
import { heifToTiff } from './image/heif/decode-heif.js';
import { prepareImage } from './image/image.js';
import type { MediaSettings } from './media-options.js';
import type { SniffedFormat } from './source/sniff.js';
import type { LocalSource } from './source/source.js';
import { prepareClip } from './video/prepare-video.js';
import type { PreparedContent } from './work/prepared-parts.js';
import type { ReportProgress } from './work/progress.js';

/**
 * A source of any kind as the parts that are shown.
 *
 * @throws MediaError for what cannot be used.
 */
export async function convert(
  source: LocalSource,
  format: SniffedFormat,
  settings: MediaSettings,
  report: ReportProgress,
  signal: AbortSignal,
): Promise<PreparedContent> {
  if (format.kind === 'document') return prepareDocument(source, format.mimeType, settings);
  if (format.kind === 'image') return convertPicture(source, format.mimeType, settings, report, signal);
  const { demuxer } = format;
  if (!demuxer) throw new MediaError('unsupported', `"${source.name}" cannot be decoded here.`);
  const binary = await locateFfmpeg(settings.ffmpegPath);
  return prepareClip(source, { ...format, demuxer }, { binary, settings, report, signal });
}

async function convertPicture(
  source: LocalSource,
  mimeType: string,
  settings: MediaSettings,
  report: ReportProgress,
  signal: AbortSignal,
): Promise<PreparedContent> {
  const { name, bytes } = source;
  const data = (await toReadable(source, mimeType, settings, signal)) ?? source.data ?? (await source.path());
  return prepareImage({ name, mimeType, bytes, data }, settings, report, signal);
}

/** The picture in a format that sharp reads, where it does not read its own. */
async function toReadable(
  source: LocalSource,
  mimeType: string,
  settings: MediaSettings,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  if (mimeType !== 'image/bmp' && mimeType !== 'image/heic') return undefined;
  const binary = await locateFfmpeg(settings.ffmpegPath);
  return mimeType === 'image/heic'
    ? heifToTiff(source, binary, settings, signal)
    : bitmapToPng(await source.read(), source.name, binary, settings, signal);
}
