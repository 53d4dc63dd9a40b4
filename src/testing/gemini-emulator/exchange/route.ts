import type { GeminiOperation } from '../journal/recorded-call.js';

/** The parsed URL of a request. */
export interface Route {
  readonly operation: GeminiOperation;
  readonly path: string;
  readonly query: URLSearchParams;
  /** `v1` or `v1beta`. */
  readonly version: string;
  /** The method after the colon, such as `generateContent`; empty without one. */
  readonly method: string;
  readonly model: string;
  /** The id of a file; empty for all files. */
  readonly file: string;
}

const operations: Readonly<Record<string, GeminiOperation>> = {
  generateContent: 'generate',
  streamGenerateContent: 'generate',
  embedContent: 'embed',
  batchEmbedContents: 'embed',
  countTokens: 'countTokens',
};

const noQuery = new URLSearchParams();

const knownRoutes = new Map<string, Route>();
const maxKnownRoutes = 256;

/** Cached: clients use few different URLs, and parsing one costs as much as the rest of a call. */
export function readRoute(url: string): Route {
  const known = knownRoutes.get(url);
  if (known) return known;
  const route = parseRoute(url);
  if (knownRoutes.size >= maxKnownRoutes) knownRoutes.clear();
  knownRoutes.set(url, route);
  return route;
}

function parseRoute(url: string): Route {
  const [path = '/', search] = url.split('?', 2);
  const query = search === undefined ? noQuery : new URLSearchParams(search);
  const [, upload = '', version = '', resource = ''] =
    /^(\/upload)?\/(v1|v1beta)\/(.*?)\/?$/.exec(decodeURIComponent(path)) ?? [];
  const base = { path, query, version, method: '', model: '', file: '' };
  if (resource === 'files' || resource.startsWith('files/'))
    return { ...base, operation: upload ? 'upload' : 'files', file: resource.slice('files/'.length) };
  if (resource === 'models') return { ...base, operation: 'models' };
  const [, model = '', method = ''] = /^models\/([^:]+)(?::(\w+))?$/.exec(resource) ?? [];
  if (!model) return { ...base, operation: 'unknown' };
  return { ...base, operation: method ? (operations[method] ?? 'unknown') : 'models', model, method };
}
