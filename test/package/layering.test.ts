import { describe, expect, it } from 'vitest';
import { layeringRules } from '../support/layering-rules.js';
import { importsOfText, isOurs, readSource, sourceFiles } from '../support/source-imports.js';
import { cyclesIn, floorsOf, type Rooms, roomsOf } from '../support/source-rooms.js';

const mostFloors = 8;

const files = sourceFiles();
const imports = files.flatMap((file) => importsOfText(file, readSource(file)));

const edgesOf = (pairs: readonly (readonly [string, string])[]): Rooms['edges'] => {
  const edges = new Map<string, Set<string>>();
  for (const [from, to] of pairs) edges.set(from, (edges.get(from) ?? new Set()).add(to));
  return edges;
};

/** What is left of a file without comments and `export … from`. */
const besideReExports = (text: string) =>
  text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^export (?:type )?(?:\*|\{[^}]*\}) from '[^']+';$/gm, '')
    .trim();

describe('the layering of src', () => {
  it('sees the whole source', () => {
    expect(files).toEqual(expect.arrayContaining(['index.ts', 'turn/run-turn.ts', 'core/errors.ts']));
    expect(imports.length).toBeGreaterThan(500);
  });

  describe.each(layeringRules)('$name', ({ forbids, refuses }) => {
    it('holds', () => {
      const broken = imports.filter(forbids).map(({ from, to }) => `${from} -> ${to}`);
      expect(broken).toEqual([]);
    });

    it.each(refuses)('refuses %s -> %s', (from, to) => {
      const file = `import { x } from '${isOurs(to) ? `${'../'.repeat(from.split('/').length - 1) || './'}${to.replace(/\.ts$/, '.js')}` : to}';`;
      expect(importsOfText(from, file).filter(forbids)).toHaveLength(1);
    });
  });

  it.each(files.filter((file) => !file.includes('/')))('keeps the door %s to re-exports', (door) => {
    expect(besideReExports(readSource(door))).toBe('');
  });

  it.each([`const x = 1;`, `import { x } from './x.js';`, `export const x = 1;`])(
    'refuses in a door: %s',
    (text) => {
      expect(besideReExports(`/** A door. */\nexport { y } from './y.js';\n${text}\n`)).not.toBe('');
    },
  );

  it('has no import cycle, type imports included', () => {
    expect(
      cyclesIn(edgesOf(imports.filter(({ to }) => isOurs(to)).map(({ from, to }) => [from, to]))),
    ).toEqual([]);
  });

  it('finds a cycle of types', () => {
    const cycle = [
      ...importsOfText('a.ts', `import type { B } from './b.js';`),
      ...importsOfText('b.ts', `export type A = import('./a.js').A;`),
    ];
    expect(cyclesIn(edgesOf(cycle.map(({ from, to }) => [from, to])))).toEqual(['a.ts -> b.ts -> a.ts']);
  });

  it.each(roomsOf(imports))(
    `draws src/$folder without a cycle, on at most ${mostFloors} floors`,
    ({ edges }) => {
      expect(cyclesIn(edges)).toEqual([]);
      expect(floorsOf(edges)).toBeLessThanOrEqual(mostFloors);
    },
  );

  it('counts floors', () => {
    const stairs = Array.from({ length: mostFloors }, (_, at) => [`${at + 1}`, `${at}`] as const);
    expect(floorsOf(edgesOf(stairs))).toBe(mostFloors + 1);
  });
});
