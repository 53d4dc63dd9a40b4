import { MediaError } from '../core/errors.js';
import { preparePdf, prepareText } from './document/document.js';
import { locateFfmpeg } from './ffmpeg/ffmpeg-location.js';
import { bitmapToPng } from './image/bitmap.js';
import { heifToTiff } from './image/heif/decode-heif.js';
import { prepareImage } from './image/image.js';
import type { MediaSettings } from './media-options.js';
import { takesPictures } from './model-accepts.js';
import { isContainer, type MediaFormat } from './source/formats.js';
import type { LocalSource } from './source/source.js';
import { prepareClip } from './video/prepare-video.js';
import type { PreparedContent } from './work/prepared-content.js';
import type { ReportProgress } from './work/progress.js';

/**
 * A source of any kind as the parts that are shown.
 *
 * @throws MediaError for what cannot be used.
 */
export async function prepareSource(
  source: LocalSource,
  format: MediaFormat,
  settings: MediaSettings,
  report: ReportProgress,
  signal: AbortSignal,
): Promise<PreparedContent> {
  if (format.decoder === 'pdf') return preparePdf(source, format.mimeType, settings);
  if (format.decoder === 'text') return prepareText(source, format.mimeType, settings);
  if (!isContainer(format)) return preparePicture(source, format, settings, report, signal);
  const binary = await locateFfmpeg(settings.ffmpegPath);
  return prepareClip(source, format, { binary, settings, report, signal });
}

async function preparePicture(
  source: LocalSource,
  format: MediaFormat,
  settings: MediaSettings,
  report: ReportProgress,
  signal: AbortSignal,
): Promise<PreparedContent> {
  const { name, bytes } = source;
  if (!takesPictures(settings.accepts)) {
    throw new MediaError(
      'unsupported',
      `"${name}" is a picture, and this model sees none. Describe it in the prompt, or ask another model.`,
    );
  }
  const { mimeType } = format;
  const data = (await toReadable(source, format, settings, signal)) ?? source.data ?? (await source.path());
  return prepareImage({ name, mimeType, bytes, data }, settings, report, signal);
}

/** The picture in a format that sharp reads; `undefined` if its own is one. */
async function toReadable(
  source: LocalSource,
  { decoder }: MediaFormat,
  settings: MediaSettings,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  if (decoder !== 'bitmap' && decoder !== 'heif') return undefined;
  const binary = await locateFfmpeg(settings.ffmpegPath);
  return decoder === 'heif'
    ? heifToTiff(source, binary, settings, signal)
    : bitmapToPng(await source.read(), source.name, binary, settings, signal);
}
