import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * A script of this folder as a package would hold it, in one file: tsx has its share in what a script takes
 * that it runs. It stands where its dependencies are found, those too that only the benchmarks have.
 */
export async function compiled(script: string): Promise<string> {
  // Loaded late, so that its memory counts for nobody who is measured before.
  const { build } = await import('tsup');
  const entry = fileURLToPath(new URL(script, import.meta.url));
  const options = { splitting: false, skipNodeModulesBundle: true, config: false, silent: true };
  const outDir = fileURLToPath(new URL('./node_modules/.cache/compiled', import.meta.url));
  await build({ ...options, entry: [entry], outDir, format: 'esm' });
  const source = (file: string) => fileURLToPath(new URL(`../../src/media/${file}`, import.meta.url));
  const children = {
    'index-worker': source('video/index/index-worker.ts'),
    'picture-process': source('picture-process/picture-process-main.ts'),
  };
  await build({
    ...{ ...options, entry: children, outDir, format: 'cjs' },
    outExtension: () => ({ js: '.cjs' }),
    esbuildOptions: (esbuild) => {
      esbuild.supported = { 'dynamic-import': false };
    },
  });
  return join(outDir, script.replace(/.*\//, '').replace(/\.ts$/, '.js'));
}
