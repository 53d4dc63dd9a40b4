import Module from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The file that runs. A bundle in CommonJS has no `import.meta.url`: the program is the next best. */
const thisFile = () =>
  import.meta.url ?? pathToFileURL(process.argv[1] ?? join(process.cwd(), 'index.js')).href;

/** As Node resolves it at run time: bundlers follow `createRequire`, but not as a member of the module. */
export function resolveFrom(from: string, name: string): string {
  return Module.createRequire(from).resolve(name);
}

const manifest = () => resolveFrom(thisFile(), 'multimodal-chat/package.json');

/**
 * A file of `dist/` in the installed package, for a bundle that lacks it.
 *
 * @throws Error if the package is not installed where the bundle is.
 */
export function installedFile(name: string): string {
  return join(dirname(manifest()), 'dist', name);
}

/**
 * Loads a package that may not work inside a bundle, because it has native code or finds files by where it is:
 * with `load`, else as Node finds it from here or from the installed package, as pnpm needs.
 *
 * `load` imports by a constant in the same file, with comments for webpack, Turbopack and Vite: bundlers leave
 * that alone, while tools that collect the files of a deployment follow it.
 *
 * @throws The error of `load`.
 */
export async function loadInstalled<Module extends object>(
  name: string,
  load: () => Promise<Module>,
): Promise<Module> {
  try {
    return await load();
  } catch (error) {
    const found = requireFrom(thisFile, name) ?? requireFrom(manifest, name);
    if (found === undefined) throw error;
    return found as Module;
  }
}

/** Shaped as `import()` gives CommonJS. */
function requireFrom(place: () => string, name: string): object | undefined {
  try {
    const loaded = Module.createRequire(place())(name) as object;
    return { ...loaded, default: loaded };
  } catch {
    // The caller has the error of the first way, which says more.
    return undefined;
  }
}
