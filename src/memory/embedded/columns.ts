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

/**
 * Selects each column under its own name and as its own type. In a damaged file a value may have any type,
 * and libsql ends the process if it reads text that is not UTF-8: text comes as bytes.
 */
export function selectColumns(columns: Columns, rest: string): string {
  const selected = Object.entries(columns).map(([name, column]) => {
    const [kind, expression = name] = split(column);
    return `CAST(${expression} AS ${kind === 'integer' ? 'INTEGER' : 'BLOB'}) AS ${name}`;
  });
  return `SELECT ${selected.join(', ')} ${rest}`;
}

/** @throws TypeError if a text is not UTF-8. */
export function decodeRow<C extends Columns>(columns: C, row: object): RowOf<C> {
  const decoded: Record<string, unknown> = {};
  for (const [name, column] of Object.entries(columns)) {
    const value = (row as Record<string, unknown>)[name];
    decoded[name] = decodeValue(split(column)[0], value);
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
