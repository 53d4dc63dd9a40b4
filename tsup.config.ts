import { defineConfig } from 'tsup';

export default defineConfig({
  entry: ['src/index.ts', 'src/express.ts', 'src/http.ts', 'src/chroma.ts', 'src/redis.ts', 'src/testing.ts'],
  format: ['esm', 'cjs'],
  target: 'node20',
  platform: 'node',
  // One copy of each class in every entry point, so that `instanceof` agrees between them.
  splitting: true,
  // tsup leaves dependencies out by itself, but not optional ones.
  external: ['@ffmpeg-installer/ffmpeg', 'chromadb'],
  removeNodeProtocol: false,
  // `import.meta.url` in CommonJS.
  shims: true,
  dts: true,
  sourcemap: true,
  clean: true,
});
