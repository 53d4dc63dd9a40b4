import { MediaError } from '../core/errors.js';
import type { PixelBudget } from './budget/pixel-budget.js';
import { preparePdf, prepareText } from './document/document.js';
import { locateFfmpeg } from './ffmpeg/ffmpeg-location.js';
import { imageSettings } from './image/image-settings.js';
import type { MediaSettings } from './media-options.js';
import { takesPictures } from './model-accepts.js';
import type { PictureProcesses } from './picture-process/picture-processes.js';
import { formats, isContainer, type MediaFormat } from './source/formats.js';
import type { LocalSource } from './source/source.js';
import { prepareClip } from './video/prepare-video.js';
import type { PreparedContent } from './work/prepared-content.js';
import type { ReportProgress } from './work/progress.js';

/** How a source is prepared, and with what. */
export interface Preparation {
  readonly settings: MediaSettings;
  /** Of the request that the source belongs to. */
  readonly budget: PixelBudget;
  readonly pictures: PictureProcesses;
  readonly report: ReportProgress;
  readonly signal: AbortSignal;
}

/**
 * A source of any kind as the parts that are shown.
 *
 * @throws MediaError for what cannot be used.
 */
export async function prepareSource(
  source: LocalSource,
  format: MediaFormat,
  preparation: Preparation,
): Promise<PreparedContent> {
  const { settings } = preparation;
  if (format.decoder === 'pdf') return preparePdf(source, format.mimeType, settings, preparation.signal);
  if (format.decoder === 'text') return prepareText(source, format.mimeType, settings);
  if (!isContainer(format)) return preparePicture(source, format, preparation);
  const binary = await locateFfmpeg(settings.ffmpegPath);
  return prepareClip(source, format, { binary, ...preparation });
}

async function preparePicture(
  source: LocalSource,
  format: MediaFormat,
  preparation: Preparation,
): Promise<PreparedContent> {
  const { budget, pictures, report, settings, signal } = preparation;
  const { name, bytes } = source;
  if (!takesPictures(settings.accepts)) {
    throw new MediaError(
      'unsupported',
      `"${name}" is a picture, and this model sees none. Describe it in the prompt, or ask another model.`,
    );
  }
  if (isAnimatedAvif(source.head)) return prepareAvifAnimation(source, format, preparation);
  const { decoder, mimeType } = format;
  const ffmpeg = decoder === 'heif' ? await locateFfmpeg(settings.ffmpegPath) : undefined;
  const data = source.data ?? (await source.path());
  report('probing');
  return pictures.run(
    {
      input: { name, mimeType, bytes, data, ffmpeg },
      settings: imageSettings(settings),
      limits: { memoryBytes: settings.maxPictureMemoryBytes, cpuMs: settings.maxPictureCpuMs },
      report: (done) => report('encoding', done),
      admit: (pixels) => budget.take(name, pixels),
    },
    signal,
  );
}

function isAnimatedAvif(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(4, 12)).toString('latin1') === 'ftypavis';
}

/** sharp reads no sequences; they are stored as the video track of an MP4 is. */
async function prepareAvifAnimation(
  source: LocalSource,
  { mimeType }: MediaFormat,
  preparation: Preparation,
): Promise<PreparedContent> {
  const { settings } = preparation;
  const { kind: _, ...content } = await prepareClip(
    source,
    { ...formats.mp4, mimeType, demuxer: formats.mp4.demuxer ?? 'mov' },
    {
      ...preparation,
      binary: await locateFfmpeg(settings.ffmpegPath),
      settings: { ...settings, frames: settings.maxPages, audio: false },
    },
  );
  return content;
}
