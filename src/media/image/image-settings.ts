import type { MediaSettings } from '../media-options.js';

/** How a picture is shown, and within which limits. */
export type ImageSettings = Pick<
  MediaSettings,
  'detail' | 'maxPictureFrames' | 'maxPixels' | 'maxSide' | 'maxPages' | 'maxTiles' | 'quality' | 'timeoutMs'
>;

/** What a picture needs of all settings. */
export function imageSettings(settings: MediaSettings): ImageSettings {
  const { detail, maxPictureFrames, maxPixels, maxSide, maxPages, maxTiles, quality, timeoutMs } = settings;
  return { detail, maxPictureFrames, maxPixels, maxSide, maxPages, maxTiles, quality, timeoutMs };
}
