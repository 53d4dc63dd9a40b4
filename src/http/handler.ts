import { parseOptions } from '../core/parse-options.js';
import { InvalidInputError } from '../index.js';
import { Admission, ClientRateLimit, clientOf } from './admit.js';
import { ByteBudget } from './byte-budget.js';
import { CrossOriginPolicy } from './cross-origin.js';
import { rangeOf } from './deletion-range.js';
import { describeError } from './describe-error.js';
import type { Connection, HandlerOptions, ResolvedHandlerOptions } from './handler-options.js';
import { handlerOptionsSchema } from './handler-options.js';
import { Health } from './health.js';
import { home } from './home.js';
import { HttpError } from './http-error.js';
import type { HttpHandler, HttpRequest, HttpResponse } from './http-messages.js';
import { fromWebRequest, toWebResponse } from './http-messages.js';
import { infer, resume } from './infer.js';
import { limitOf } from './limit-of.js';
import { checkSessionId } from './read-question.js';
import { headerValue, respond, respondWithError, respondWithJson } from './respond.js';
import type { Route } from './routes.js';
import { allowedMethods, matchRoute } from './routes.js';
import type { ServedChat } from './served-chat.js';
import { respondWithFile } from './session-file.js';
import { listSessions } from './session-list.js';
import { UploadDirectories } from './upload-directory.js';
import { wireStats } from './wire-stats.js';
import { wireTurn } from './wire-turn.js';

/** Answers a Web-standard request. Never rejects. */
export type Handler = (request: Request, connection?: Connection) => Promise<Response>;

/**
 * Serves a chat over HTTP, on any server with Web-standard requests: `POST /infer`, `POST /infer/resume`, `GET /`,
 * `GET /stats`, `GET /health`, `GET /sessions`, `GET` and `DELETE /sessions/{id}` (with `?before=` a date, the turns before it),
 * `DELETE /sessions/{id}/turns/{turnId}`, `GET /sessions/{id}/files/{fingerprint}`.
 *
 * `POST /infer` answers with what a `Reply` holds: as `text/plain` its text, with the headers
 * `X-Finish-Reason` and, if the model generated files, `X-Files`; as `application/json` all of it; as
 * `text/event-stream` the events of `chat.stream()` under their names, then `error` if the answer failed.
 * Fields are named as in `Reply` and `ChatStreamEvent`, with underscores; times are in seconds unless the name
 * ends in `_ms`. The bytes of a generated file are a `data:` URL in `data`, or are to be fetched at `url`.
 *
 * Uploads go to a private temporary directory and to the chat as paths, so its media processor must allow
 * paths, as it does by default.
 *
 * @throws ConfigurationError if an option is not valid or unknown.
 *
 * @example
 * ```ts
 * const handler = createHandler(new MultimodalChat());
 * const response = await handler(new Request('http://localhost/infer', { method: 'POST', body: form }));
 * ```
 */
export function createHandler(chat: ServedChat, options: HandlerOptions = {}): Handler {
  const handle = createHttpHandler(chat, parseOptions(handlerOptionsSchema, options, 'createHandler'));
  const handler: Handler = async (request, connection = {}) =>
    toWebResponse(await handle(fromWebRequest(request), connection));
  httpHandlers.set(handler, handle);
  return handler;
}

const httpHandlers = new WeakMap<Handler, HttpHandler>();

/**
 * The implementation of a handler made by `createHandler`. Adapters call it directly, because the streams
 * of Web-standard requests and responses cost more than everything else an adapter does.
 */
export function httpHandlerOf(handler: Handler): HttpHandler | undefined {
  return httpHandlers.get(handler);
}

function createHttpHandler(chat: ServedChat, options: ResolvedHandlerOptions): HttpHandler {
  const deps: HandlerDeps = {
    chat,
    options,
    directories: new UploadDirectories(options.tempDir, options.maxUploadBytesInFlight),
    budget: new ByteBudget(options.maxBodyBytesInFlight),
    admission: new Admission(options),
    rateLimit: rateLimitOf(options),
    origins: new CrossOriginPolicy(options),
    health: new Health(chat),
  };
  return async (request, connection) => {
    let response: HttpResponse;
    try {
      response = await answerRequest(request, connection, deps);
    } catch (error) {
      reportError(error, request, options);
      response = respondWithError(describeError(error));
    }
    const { headers } = response;
    if (options.notice !== undefined) headers['x-notice'] = headerValue(options.notice);
    for (const [name, value] of Object.entries(deps.origins.headers(request))) {
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
    }
    return request.method === 'HEAD' ? { ...response, body: null } : response;
  };
}

/** Dependencies of the routes. */
interface HandlerDeps {
  readonly chat: ServedChat;
  readonly options: ResolvedHandlerOptions;
  readonly directories: UploadDirectories;
  readonly budget: ByteBudget;
  readonly admission: Admission;
  readonly rateLimit: ClientRateLimit | undefined;
  readonly origins: CrossOriginPolicy;
  readonly health: Health;
}

const rateLimitOf = ({ clientRpm }: ResolvedHandlerOptions) =>
  clientRpm === undefined
    ? undefined
    : new ClientRateLimit(clientRpm, `More than ${clientRpm} questions in a minute.`);

async function answerRequest(
  request: HttpRequest,
  connection: Connection,
  deps: HandlerDeps,
): Promise<HttpResponse> {
  const path = pathOf(request, connection, deps.options.basePath);
  const route = matchRoute(path);
  if (route === undefined) throw new HttpError(404, 'NOT_FOUND', 'There is nothing at this path.');
  const methods = allowedMethods(route);
  if (request.method === 'OPTIONS') {
    const headers = { allow: methods.join(', '), ...deps.origins.preflightHeaders(request, methods) };
    return respond(null, undefined, { status: 204, headers });
  }
  if (!methods.includes(request.method)) {
    throw new HttpError(405, 'METHOD_NOT_ALLOWED', `Use ${methods.join(' or ')} here.`, {
      headers: { allow: methods.join(', ') },
    });
  }
  return answerRoute(route, request, connection, { ...deps, mount: mountOf(request, path) });
}

async function answerRoute(
  route: Route,
  request: HttpRequest,
  connection: Connection,
  deps: HandlerDeps & { readonly mount: string },
): Promise<HttpResponse> {
  const { admission, chat, health, options, origins, rateLimit } = deps;
  const report = (error: unknown) => reportError(error, request, options);
  const enter = () => {
    origins.refuseForeignPage(request);
    return admission.identify(request, connection);
  };
  // Monitors reach it under any name. It shows nothing of a conversation.
  if (route.name !== 'health') origins.refuseForeignHost(request);
  switch (route.name) {
    case 'home':
      return home(request, options);
    case 'health':
      return health.respond(report);
    case 'stats':
      await enter();
      return respondWithJson(wireStats(await chat.stats(), options.notice));
    case 'infer':
    case 'resume': {
      const admit = async () => {
        origins.refuseForeignPage(request);
        await rateLimit?.count(clientOf(request, connection, options) ?? 'unknown');
        return admission.identify(request, connection);
      };
      return (route.name === 'infer' ? infer : resume)(request, { ...deps, admit, report });
    }
    case 'sessions': {
      const { tenant } = await enter();
      return respondWithJson(await listSessions(chat, tenant, request));
    }
    case 'session': {
      const { tenant } = await enter();
      const conversation = { tenant, sessionId: checkSessionId(route.sessionId) };
      if (request.method === 'DELETE') {
        const deleted = await chat.forget({ ...conversation, ...rangeOf(request) });
        return respondWithJson({ session_id: route.sessionId, deleted });
      }
      const turns = await chat.history(conversation, { limit: limitOf(request), signal: request.signal });
      return respondWithJson({ session_id: route.sessionId, turns: turns.map(wireTurn) });
    }
    case 'turn': {
      const { tenant } = await enter();
      const { turnId } = route;
      rangeOf(request, []);
      const sessionId = checkSessionId(route.sessionId);
      const deleted = await chat.forget({ tenant, sessionId, turnId });
      return respondWithJson({ session_id: sessionId, turn_id: turnId, deleted });
    }
    case 'file': {
      const { tenant } = await enter();
      const { fingerprint } = route;
      return respondWithFile(
        await chat.file?.({ tenant, sessionId: checkSessionId(route.sessionId), fingerprint }),
      );
    }
  }
}

/** Whether the path leads to one of the handler's routes. */
export function isServed(path: string): boolean {
  try {
    return matchRoute(path) !== undefined;
  } catch (error) {
    // A badly encoded session name is for the handler to refuse.
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

/** The prefix of all routes as the client sees it. */
function mountOf(request: HttpRequest, path: string): string {
  const { pathname } = new URL(request.url);
  return pathname.endsWith(path) ? pathname.slice(0, pathname.length - path.length) : '';
}

function reportError(error: unknown, request: HttpRequest, { onError }: ResolvedHandlerOptions): void {
  if (describeError(error).status < 500 || request.signal.aborted) return;
  try {
    onError?.(error, request.toRequest());
  } catch (failure) {
    // The client gets its answer even if the app's log fails.
    process.emitWarning(failure instanceof Error ? failure : String(failure));
  }
}
