import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const inRepository = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Paths in backticks that begin at the root of the repository; `src/*.ts` is a pattern and is left out. */
const pathsIn = (text: string) => [
  ...new Set(
    Array.from(text.matchAll(/`((?:src|test|examples|\.ci|\.github)\/[\w./-]+)`/g), ([, path = '']) => path),
  ),
];
const pathsOf = (file: string) => pathsIn(readFileSync(inRepository(file), 'utf8'));

const missing = (paths: readonly string[]) => paths.filter((path) => !existsSync(inRepository(path)));

describe('the texts for contributors', () => {
  it.each(['ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'])('%s names only paths that exist', (file) => {
    expect(missing(pathsOf(file))).toEqual([]);
  });

  it('are read as lists of paths', () => {
    const paths = pathsOf('ARCHITECTURE.md');
    expect(paths).toEqual(expect.arrayContaining(['src/turn/run-turn.ts', 'src/keys/health/']));
    expect(paths.length).toBeGreaterThan(40);
    expect(pathsOf('CONTRIBUTING.md')).toContain('examples/custom-model/');
  });

  it('are refused with a path that does not exist', () => {
    const text = 'See `src/core/errors.ts`, `src/core/` and `src/turn/no-such-file.ts`.';
    expect(missing(pathsIn(text))).toEqual(['src/turn/no-such-file.ts']);
  });
});
