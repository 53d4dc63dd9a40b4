import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const inRepository = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Paths in backticks that begin at the root of the repository; `src/*.ts` is a pattern and is left out. */
const pathsIn = (text: string) => [
  ...new Set(Array.from(text.matchAll(/`((?:src|test)\/[\w./-]+)`/g), ([, path = '']) => path)),
];

const missing = (paths: readonly string[]) => paths.filter((path) => !existsSync(inRepository(path)));

describe('ARCHITECTURE.md', () => {
  const paths = pathsIn(readFileSync(inRepository('ARCHITECTURE.md'), 'utf8'));

  it('names only paths that exist', () => {
    expect(missing(paths)).toEqual([]);
  });

  it('is read as a list of paths', () => {
    expect(paths).toEqual(expect.arrayContaining(['src/turn/run-turn.ts', 'src/keys/health/']));
    expect(paths.length).toBeGreaterThan(40);
  });

  it('would fail on a path that does not exist', () => {
    const text = 'See `src/core/errors.ts`, `src/core/` and `src/turn/no-such-file.ts`.';
    expect(missing(pathsIn(text))).toEqual(['src/turn/no-such-file.ts']);
  });
});
