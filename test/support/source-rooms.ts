import type { Import } from './source-imports.js';
import { isOurs } from './source-imports.js';

/** The children of one folder, files and folders, and which of them imports which. */
export interface Rooms {
  readonly folder: string;
  readonly edges: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Each folder of `src` as it is drawn: a subfolder is one room. Type imports count. */
export function roomsOf(imports: readonly Import[]): readonly Rooms[] {
  const folders = new Map<string, Map<string, Set<string>>>();
  for (const { from, to } of imports) {
    if (!isOurs(to)) continue;
    const [left, right] = [from.split('/'), to.split('/')];
    let depth = 0;
    while (left[depth] === right[depth] && depth < left.length - 1) depth += 1;
    const [a, b] = [left[depth], right[depth]];
    if (a === undefined || b === undefined || a === b) continue;
    const folder = left.slice(0, depth).join('/');
    const edges = folders.get(folder) ?? new Map<string, Set<string>>();
    folders.set(folder, edges.set(a, (edges.get(a) ?? new Set()).add(b)));
  }
  return [...folders].map(([folder, edges]) => ({ folder, edges }));
}

/** The first cycle found from each node, as a path that ends where it began. */
export function cyclesIn(edges: Rooms['edges']): readonly string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (node: string, path: readonly string[]) => {
    if (path.includes(node)) cycles.push([...path.slice(path.indexOf(node)), node].join(' -> '));
    else if (!done.has(node)) {
      for (const next of edges.get(node) ?? []) visit(next, [...path, node]);
      done.add(node);
    }
  };
  for (const node of edges.keys()) visit(node, []);
  return cycles;
}

/** How many floors an acyclic drawing has: each room stands above all that it imports. */
export function floorsOf(edges: Rooms['edges']): number {
  const floors = new Map<string, number>();
  const floorOf = (node: string): number => {
    const known = floors.get(node);
    if (known !== undefined) return known;
    const floor = 1 + Math.max(0, ...[...(edges.get(node) ?? [])].map(floorOf));
    floors.set(node, floor);
    return floor;
  };
  return Math.max(0, ...[...edges.keys()].map(floorOf));
}
