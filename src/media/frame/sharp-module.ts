import { MediaError } from '../../core/errors.js';

/** sharp, loaded with the first picture. */
export async function loadSharp() {
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    throw new MediaError(
      'unavailable',
      'The image library sharp cannot be loaded. Run npm install again on this machine, with optional dependencies.',
      { cause },
    );
  }
}
