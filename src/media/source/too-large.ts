import { MediaError } from '../../core/errors.js';

export function tooLarge(name: string, maxBytes: number): MediaError {
  const limit = maxBytes >= 2 ** 20 ? `${Math.floor(maxBytes / 2 ** 20)} MiB` : `${maxBytes} bytes`;
  return new MediaError(
    'too-large',
    `"${name}" has more than ${limit}. Send a smaller file, or raise maxBytes.`,
  );
}
