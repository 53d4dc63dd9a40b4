import { MediaError } from '../../core/errors.js';
import { loadInstalled } from '../../core/installed.js';

const name = 'sharp';
const load = (): Promise<typeof import('sharp')> =>
  import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ name);

/** sharp, loaded with the first picture. */
export async function loadSharp() {
  try {
    return (await loadInstalled(name, load)).default;
  } catch (cause) {
    throw new MediaError(
      'unavailable',
      'The image library sharp cannot be loaded. Run npm install again on this machine, with optional dependencies; beside a bundle, run npm install sharp.',
      { cause },
    );
  }
}
