/** How a column is read. `text:expression` reads an expression; without one the column has the name of the field. */
export type Columns = Readonly<Record<string, `${keyof Kinds}` | `${keyof Kinds}:${string}`>>;

interface Kinds {
  readonly integer: number;
  readonly text: string;
  readonly blob: Uint8Array;
}

type KindOf<Column> = Column extends `${infer Kind extends keyof Kinds}:${string}` ? Kind : Column;

/** A row by the names of its columns. */
export type RowOf<C extends Columns> = { readonly [Name in keyof C]: Kinds[KindOf<C[Name]> & keyof Kinds] };

/** What selects the columns, and how each is decoded: worked out once, because it costs more than reading a row. */
interface Reading {
  readonly selected: string;
  readonly kinds: readonly (readonly [name: string, kind: string])[];
}

const readings = new WeakMap<Columns, Reading>();

function readingOf(columns: Columns): Reading {
  const known = readings.get(columns);
  if (known !== undefined) return known;
  const parts = Object.entries(columns).map(([name, column]) => {
    const [kind, expression = name] = split(column);
    const type = kind === 'integer' ? 'INTEGER' : 'BLOB';
    return { entry: [name, kind] as const, selected: `CAST(${expression} AS ${type}) AS ${name}` };
  });
  const selected = `SELECT ${parts.map((part) => part.selected).join(', ')}`;
  const reading = { selected, kinds: parts.map(({ entry }) => entry) };
  readings.set(columns, reading);
  return reading;
}

/**
 * Selects each column under its own name and as its own type. In a damaged file a value may have any type,
 * and libsql ends the process if it reads text that is not UTF-8: text comes as bytes.
 */
export function selectColumns(columns: Columns, rest: string): string {
  return `${readingOf(columns).selected} ${rest}`;
}

/** @throws TypeError if a text is not UTF-8. */
export function decodeRow<C extends Columns>(columns: C, row: object): RowOf<C> {
  const decoded: Record<string, unknown> = {};
  for (const [name, kind] of readingOf(columns).kinds) {
    decoded[name] = decodeValue(kind, (row as Record<string, unknown>)[name]);
  }
  return decoded as RowOf<C>;
}

function decodeValue(kind: string, value: unknown): unknown {
  if (kind === 'integer') return value ?? 0;
  const bytes = value instanceof Uint8Array ? value : new Uint8Array((value ?? 0) as ArrayBuffer);
  return kind === 'text' ? utf8.decode(bytes) : bytes;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function split(column: string): [kind: string, expression?: string] {
  const colon = column.indexOf(':');
  return colon < 0 ? [column] : [column.slice(0, colon), column.slice(colon + 1)];
}
