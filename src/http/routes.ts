import { InvalidInputError } from '../index.js';

export type Route =
  | { readonly name: 'home' | 'health' | 'stats' | 'infer' | 'resume' | 'sessions' }
  | { readonly name: 'session'; readonly sessionId: string }
  | { readonly name: 'turn'; readonly sessionId: string; readonly turnId: string }
  | { readonly name: 'file'; readonly sessionId: string; readonly fingerprint: string };

const fixedRoutes: Readonly<Record<string, Route>> = {
  '/': { name: 'home' },
  '/health': { name: 'health' },
  '/stats': { name: 'stats' },
  '/infer': { name: 'infer' },
  '/infer/resume': { name: 'resume' },
  '/sessions': { name: 'sessions' },
};

const methods: Readonly<Record<Route['name'], readonly string[]>> = {
  home: ['GET', 'HEAD'],
  health: ['GET', 'HEAD'],
  stats: ['GET', 'HEAD'],
  infer: ['POST'],
  resume: ['POST'],
  sessions: ['GET', 'HEAD'],
  session: ['GET', 'HEAD', 'DELETE'],
  turn: ['DELETE'],
  file: ['GET', 'HEAD'],
};

/**
 * The route of a path, if there is one. A trailing slash makes no difference.
 *
 * @throws InvalidInputError if the session's name is not validly percent-encoded.
 */
export function matchRoute(path: string): Route | undefined {
  const trimmed = path.length > 1 ? path.replace(/\/$/, '') : path;
  if (Object.hasOwn(fixedRoutes, trimmed)) return fixedRoutes[trimmed];
  const [, session, turn, fingerprint] =
    /^\/sessions\/([^/]+)(?:\/turns\/([^/]+)|\/files\/([^/]+))?$/.exec(trimmed) ?? [];
  if (session === undefined) return undefined;
  const sessionId = decode(session);
  if (turn !== undefined) return { name: 'turn', sessionId, turnId: decode(turn) };
  return fingerprint === undefined
    ? { name: 'session', sessionId }
    : { name: 'file', sessionId, fingerprint };
}

/** Every method that the route answers, as the `Allow` header lists them. */
export function allowedMethods(route: Route): readonly string[] {
  return [...methods[route.name], 'OPTIONS'];
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new InvalidInputError('A name in the path is not validly percent-encoded.', { cause });
  }
}
