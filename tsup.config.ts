import { defineConfig, type Options } from 'tsup';

const common: Options = { target: 'node20', platform: 'node', removeNodeProtocol: false, sourcemap: true };

export default defineConfig([
  {
    ...common,
    entry: [
      'src/index.ts',
      'src/express.ts',
      'src/http.ts',
      'src/chroma.ts',
      'src/redis.ts',
      'src/testing.ts',
    ],
    format: ['esm', 'cjs'],
    // One copy of each class in every entry point, so that `instanceof` agrees between them.
    splitting: true,
    // tsup leaves dependencies out by itself, but not optional ones.
    external: ['@ffmpeg-installer/ffmpeg', 'chromadb'],
    // `import.meta.url` in CommonJS.
    shims: true,
    dts: true,
    clean: true,
  },
  {
    ...common,
    // One file without imports of its own, so that it works wherever a bundler or a person copies it.
    entry: { 'index-worker': 'src/media/video/index/index-worker.ts' },
    // Read as CommonJS by its name alone; mediabunny loads in a third of the time in this format.
    format: ['cjs'],
    splitting: false,
    esbuildOptions: (options) => {
      options.supported = { 'dynamic-import': false };
    },
  },
]);
