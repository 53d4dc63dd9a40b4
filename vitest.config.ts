import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

/** The tests of the packed tarball, which install it once for all. */
const installed = 'test/package/installed/*.test.ts';

const source = (file: string) => fileURLToPath(new URL(`./src/${file}`, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^multimodal-chat$/, replacement: source('index.ts') },
      {
        find: /^multimodal-chat\/(express|http|chroma|mcp|recall|redis|testing)$/,
        replacement: source('$1.ts'),
      },
    ],
  },
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // What is polled for happens in the background, on machines of any speed.
    expect: { poll: { timeout: 15_000 } },
    maxWorkers: 2,
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'source',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'examples/**/*.test.ts'],
          exclude: [...configDefaults.exclude, installed],
        },
      },
      {
        extends: true,
        test: {
          name: 'installed',
          include: [installed],
          globalSetup: 'test/package/installed/set-up.ts',
          // They build whole apps.
          testTimeout: 300_000,
        },
      },
    ],
  },
});
