import { MediaError } from '../../core/errors.js';
import type { MediaSettings } from '../media-options.js';

/** @throws MediaError `too-large` for a clip or recording that is too long, or frames with too many pixels. */
export function checkLimits(
  durationMs = 0,
  pixels = 0,
  name: string,
  settings: Pick<MediaSettings, 'maxDurationMs' | 'maxPixels'>,
): void {
  if (durationMs > settings.maxDurationMs) {
    const hours = (settings.maxDurationMs / 3_600_000).toFixed(1);
    throw new MediaError(
      'too-large',
      `"${name}" is longer than ${hours} hours. Cut it, or raise maxDurationMs.`,
    );
  }
  if (pixels > settings.maxPixels) {
    throw new MediaError(
      'too-large',
      `The frames of "${name}" have more pixels than maxPixels allows. Scale it down.`,
    );
  }
}
