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
  const worker = fileURLToPath(new URL('../../src/media/video/index/index-worker.ts', import.meta.url));
  await build({
    ...{ ...options, entry: { 'index-worker': worker }, outDir, format: 'cjs' },
    outExtension: () => ({ js: '.cjs' }),
    esbuildOptions: (esbuild) => {
      esbuild.supported = { 'dynamic-import': false };
    },
  });
  return join(outDir, script.replace(/.*\//, '').replace(/\.ts$/, '.js'));
}
