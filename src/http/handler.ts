import { InvalidInputError } from '../index.js';
import { ClientRateLimit, clientOf, identify } from './admit.js';
import { CrossOriginPolicy } from './cross-origin.js';
import { describeError } from './describe-error.js';
import type { Connection, HandlerOptions, ResolvedHandlerOptions } from './handler-options.js';
import { resolveHandlerOptions } from './handler-options.js';
import { home } from './home.js';
import { HttpError } from './http-error.js';
import type { HttpHandler, HttpRequest, HttpResponse } from './http-messages.js';
import { fromWebRequest, toWebResponse } from './http-messages.js';
import { infer } from './infer.js';
import { checkSessionId } from './read-question.js';
import { headerValue, respond, respondWithError, respondWithJson } from './respond.js';
import type { Route } from './routes.js';
import { allowedMethods, matchRoute } from './routes.js';
import type { ServedChat } from './served-chat.js';
import { UploadDirectories } from './upload-directory.js';
import { wireTurn } from './wire-reply.js';
import { wireStats } from './wire-stats.js';

const defaultHistoryTurns = 50;
const maxHistoryTurns = 500;

/** Answers a Web-standard request. Never rejects. */
export type Handler = (request: Request, connection?: Connection) => Promise<Response>;

/**
 * Serves a chat over HTTP, on whatever hands out Web-standard requests: `POST /infer`, `GET /`,
 * `GET /stats`, `GET /health`, `GET` and `DELETE /sessions/{id}`.
 *
 * Uploads are kept in a private temporary directory and handed to the chat as paths, so its media
 * processor must allow paths, as it does by default.
 *
 * @throws ConfigurationError when an option is not valid.
 *
 * @example
 * ```ts
 * const handler = createHandler(new MultimodalChat());
 * const response = await handler(new Request('http://localhost/infer', { method: 'POST', body: form }));
 * ```
 */
export function createHandler(chat: ServedChat, options: HandlerOptions = {}): Handler {
  const serve = createHttpHandler(chat, resolveHandlerOptions(options));
  const handler: Handler = async (request, connection = {}) =>
    toWebResponse(await serve(fromWebRequest(request), connection));
  httpHandlers.set(handler, serve);
  return handler;
}

const httpHandlers = new WeakMap<Handler, HttpHandler>();

/**
 * What is behind a handler made here, so that an adapter can spare the Web-standard forms, whose streams
 * cost more than all else that it does.
 */
export function httpHandlerOf(handler: Handler): HttpHandler | undefined {
  return httpHandlers.get(handler);
}

function createHttpHandler(chat: ServedChat, options: ResolvedHandlerOptions): HttpHandler {
  const server: HandlerDeps = {
    chat,
    options,
    directories: new UploadDirectories(options.tempDir),
    rateLimit: new ClientRateLimit(options.clientRpm),
    origins: new CrossOriginPolicy(options.allowedOrigins),
  };
  return async (asked, connection) => {
    let reply: HttpResponse;
    try {
      reply = await answerRequest(asked, connection, server);
    } catch (error) {
      reportError(error, asked, options);
      reply = respondWithError(describeError(error));
    }
    const { headers } = reply;
    if (options.notice !== undefined) headers['x-notice'] = headerValue(options.notice);
    for (const [name, value] of Object.entries(server.origins.headers(asked))) {
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
    }
    return asked.method === 'HEAD' ? { ...reply, body: null } : reply;
  };
}

interface HandlerDeps {
  readonly chat: ServedChat;
  readonly options: ResolvedHandlerOptions;
  readonly directories: UploadDirectories;
  readonly rateLimit: ClientRateLimit;
  readonly origins: CrossOriginPolicy;
}

async function answerRequest(
  request: HttpRequest,
  connection: Connection,
  server: HandlerDeps,
): Promise<HttpResponse> {
  const route = matchRoute(pathOf(request, connection, server.options.basePath));
  if (route === undefined) throw new HttpError(404, 'NOT_FOUND', 'There is nothing at this path.');
  const methods = allowedMethods(route);
  if (request.method === 'OPTIONS') {
    const headers = { allow: methods.join(', '), ...server.origins.preflightHeaders(request, methods) };
    return respond(null, undefined, { status: 204, headers });
  }
  if (!methods.includes(request.method)) {
    throw new HttpError(405, 'METHOD_NOT_ALLOWED', `Use ${methods.join(' or ')} here.`, {
      headers: { allow: methods.join(', ') },
    });
  }
  return answerRoute(route, request, connection, server);
}

async function answerRoute(
  route: Route,
  request: HttpRequest,
  connection: Connection,
  server: HandlerDeps,
): Promise<HttpResponse> {
  const { chat, options, directories, rateLimit, origins } = server;
  switch (route.name) {
    case 'home':
      return home(request, options);
    case 'health':
      return respondWithJson({ status: 'ok' });
    case 'stats':
      await identify(request, options);
      return respondWithJson(wireStats(await chat.stats(), options.notice));
    case 'infer': {
      const admit = async () => {
        origins.refuseForeignForms(request);
        await rateLimit.count(() => clientOf(request, connection, options));
        return identify(request, options);
      };
      const report = (error: unknown) => reportError(error, request, options);
      return infer(request, { chat, admit, options, directories, report });
    }
    case 'session': {
      const { tenant } = await identify(request, options);
      const conversation = { tenant, sessionId: checkSessionId(route.sessionId) };
      if (request.method === 'DELETE') {
        return respondWithJson({ session_id: route.sessionId, deleted: await chat.forget(conversation) });
      }
      const turns = await chat.history(conversation, { limit: limitOf(request), signal: request.signal });
      return respondWithJson({ session_id: route.sessionId, turns: turns.map(wireTurn) });
    }
  }
}

/** Whether the path leads to one of the handler's routes. */
export function isServed(path: string): boolean {
  try {
    return matchRoute(path) !== undefined;
  } catch (error) {
    // A session whose name is badly encoded is ours to refuse.
    return InvalidInputError.isInstance(error);
  }
}

function pathOf(request: HttpRequest, { path }: Connection, basePath: string): string {
  const full = path ?? new URL(request.url).pathname;
  const [pathname = ''] = full.split('?', 1);
  if (basePath === '') return pathname || '/';
  if (pathname === basePath) return '/';
  return pathname.startsWith(`${basePath}/`) ? pathname.slice(basePath.length) : '';
}

function limitOf(request: HttpRequest): number {
  const limit = new URL(request.url).searchParams.get('limit');
  if (limit === null) return defaultHistoryTurns;
  if (!/^[1-9]\d{0,5}$/.test(limit)) throw new InvalidInputError('`limit` must be a whole number from 1.');
  return Math.min(Number(limit), maxHistoryTurns);
}

function reportError(error: unknown, request: HttpRequest, { onError }: ResolvedHandlerOptions): void {
  if (describeError(error).status < 500 || request.signal.aborted) return;
  try {
    onError?.(error, request.toRequest());
  } catch (failure) {
    // The client gets its answer even where the log is broken.
    process.emitWarning(failure instanceof Error ? failure : String(failure));
  }
}
