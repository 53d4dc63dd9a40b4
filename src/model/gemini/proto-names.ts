import { isObject } from './json.js';

/** Fields whose content belongs to somebody else: arguments and results of functions, metadata of errors. */
const opaque: ReadonlySet<string> = new Set(['args', 'functionResponse', 'metadata']);

const toJsonName = (name: string) => name.replace(/_([a-z\d])/g, (_, letter: string) => letter.toUpperCase());

/**
 * The value with the field names of ProtoJSON. Gateways that decode and encode replies also send those of the
 * `.proto` files, which every reader has to take: https://protobuf.dev/programming-guides/json/
 */
export function withJsonNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withJsonNames);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      const jsonName = toJsonName(name);
      return [jsonName, opaque.has(jsonName) ? item : withJsonNames(item)];
    }),
  );
}
