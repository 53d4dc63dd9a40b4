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

/** They tell the bundlers of apps to leave an import alone. */
const forBundlers = /webpackIgnore|turbopackIgnore|@vite-ignore/;

function stripComments(text: string): string {
  const source = ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest);
  const found = new Map<number, ts.CommentRange>();
  const visit = (node: ts.Node) => {
    for (const range of ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [])
      if (!forBundlers.test(text.slice(range.pos, range.end))) found.set(range.pos, range);
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
      'src/mcp.ts',
      'src/recall.ts',
      'src/redis.ts',
      'src/testing.ts',
    ],
    format: ['esm', 'cjs'],
    // One copy of each class in every entry point, so that `instanceof` agrees between them.
    splitting: true,
    // `import.meta.url` in CommonJS.
    shims: true,
    // What splits CommonJS lowers class fields, and classes with static ones would be called `_class5`.
    esbuildOptions: (options, { format }) => {
      options.keepNames = format === 'cjs';
      options.sourcesContent = false;
    },
    // Without it the types of Node are missing under `types: []`, the default of TypeScript 6, and what names
    // them is `any`.
    dts: { banner: '/// <reference types="node" />' },
    clean: true,
  },
  {
    ...common,
    // Files without imports but of sharp, so that they work wherever a bundler or a person copies them.
    entry: {
      'index-worker': 'src/media/video/index/index-worker.ts',
      'picture-process': 'src/media/picture-process/picture-process-main.ts',
    },
    // Read as CommonJS by their names alone; mediabunny loads in a third of the time in this format.
    format: ['cjs'],
    splitting: false,
    noExternal: ['mediabunny'],
    sourcemap: false,
    esbuildOptions: (options) => {
      options.supported = { 'dynamic-import': false };
      options.minifyWhitespace = true;
      options.minifySyntax = true;
      // Keeps the license of mediabunny, which it wants to be kept.
      options.legalComments = 'eof';
    },
  },
  {
    ...common,
    entry: { cli: 'src/cli/cli.ts' },
    format: ['esm'],
    // The command is an app like any other: it imports what is installed.
    external: [/^multimodal-chat/],
    banner: { js: '#!/usr/bin/env node' },
    sourcemap: false,
  },
]);
