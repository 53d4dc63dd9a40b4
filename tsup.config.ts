import { readFile } from 'node:fs/promises';
import { defineConfig, type Options } from 'tsup';
import ts from 'typescript';

type Plugin = NonNullable<Options['esbuildPlugins']>[number];

/**
 * Leaves comments out of the JavaScript: the types carry the documentation, and esbuild would ship it twice.
 * Lines stay where they are, so that source maps and stack traces fit the source.
 */
const withoutComments: Plugin = {
  name: 'without-comments',
  setup: (build) => {
    build.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, async ({ path }) => ({
      contents: stripComments(await readFile(path, 'utf8')),
      loader: 'ts',
    }));
  },
};

function stripComments(text: string): string {
  const source = ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest);
  const found = new Map<number, ts.CommentRange>();
  const visit = (node: ts.Node) => {
    for (const range of ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [])
      found.set(range.pos, range);
    ts.forEachChild(node, visit);
  };
  visit(source);
  let stripped = text;
  for (const { end, pos } of [...found.values()].sort((a, b) => b.pos - a.pos)) {
    stripped = stripped.slice(0, pos) + text.slice(pos, end).replace(/[^\n]+/g, '') + stripped.slice(end);
  }
  return stripped;
}

const common: Options = {
  target: 'node20',
  platform: 'node',
  removeNodeProtocol: false,
  sourcemap: true,
  esbuildPlugins: [withoutComments],
};

export default defineConfig([
  {
    ...common,
    entry: [
      'src/index.ts',
      'src/express.ts',
      'src/http.ts',
      'src/chroma.ts',
      'src/recall.ts',
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
    // What splits CommonJS lowers class fields, and classes with static ones would be called `_class5`.
    esbuildOptions: (options, { format }) => {
      options.keepNames = format === 'cjs';
    },
    dts: true,
    clean: true,
  },
  {
    ...common,
    // Files without imports of their own, so that they work wherever a bundler or a person copies them.
    entry: {
      'index-worker': 'src/media/video/index/index-worker.ts',
      'picture-process': 'src/media/picture-process/picture-process-main.ts',
    },
    // Read as CommonJS by their names alone; mediabunny loads in a third of the time in this format.
    format: ['cjs'],
    splitting: false,
    esbuildOptions: (options) => {
      options.supported = { 'dynamic-import': false };
    },
  },
]);
