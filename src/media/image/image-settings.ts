import type { MediaSettings } from '../media-options.js';
import type { ReportProgress } from '../work/progress.js';

/** How a picture is shown, and within which limits. */
export type ImageSettings = Pick<
  MediaSettings,
  'detail' | 'maxPictureFrames' | 'maxPixels' | 'maxSide' | 'maxPages' | 'maxTiles' | 'quality' | 'timeoutMs'
>;

/** What a picture that is prepared tells, and hears. */
export interface ImageWork {
  readonly report: ReportProgress;
  /** Called with the number of pixels before any is decoded. @throws MediaError if they are too many */
  readonly admit: (pixels: number) => Promise<void> | void;
  readonly signal: AbortSignal;
}

/** What a picture needs of all settings. */
export function imageSettings(settings: MediaSettings): ImageSettings {
  const { detail, maxPictureFrames, maxPixels, maxSide, maxPages, maxTiles, quality, timeoutMs } = settings;
  return { detail, maxPictureFrames, maxPixels, maxSide, maxPages, maxTiles, quality, timeoutMs };
}
