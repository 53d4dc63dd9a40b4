import type { RequestHandler } from 'express';
import type { EndedSpan, MultimodalChat } from 'multimodal-chat';
import { MultimodalChatError } from 'multimodal-chat';
import type { Log } from './log.js';

/** The status that proxies log for a client that hung up before its reply was complete. */
const clientClosedRequest = 499;

/** Logs each request once it is over: method, path, status and milliseconds. Queries may hold secrets. */
export function logRequests(log: Log): RequestHandler {
  return (request, response, next) => {
    const startedAt = performance.now();
    const { path, method } = request;
    response.once('close', () => {
      const status = response.writableFinished ? response.statusCode : clientClosedRequest;
      const ms = Math.round(performance.now() - startedAt);
      const level = status >= 500 ? 'error' : status >= 400 ? 'warn' : isPolling(path) ? 'debug' : 'info';
      log[level]({ method, path, status, ms }, 'request');
    });
    next();
  };
}

/** Requests that pages and monitors repeat every few seconds. */
const isPolling = (path: string) => path === '/stats' || path === '/health';

/** Logs each failure once, though both the chat and the HTTP layer report it. */
export function makeFailureLog(log: Log): (error: unknown, sessionId?: string) => void {
  const logged = new WeakSet<object>();
  return (error, sessionId) => {
    if (typeof error === 'object' && error !== null) {
      if (logged.has(error)) return;
      logged.add(error);
    }
    // Errors of the package explain themselves in one sentence; any other is a bug and needs its stack.
    if (MultimodalChatError.isInstance(error)) {
      log.error({ sessionId, code: error.code }, `a call failed: ${error.message}`);
    } else log.error({ sessionId, err: error }, 'a call failed');
  };
}

/** Logs the events of the chat, each at its level. */
export function logChatEvents(
  chat: MultimodalChat,
  log: Log,
  logFailure: ReturnType<typeof makeFailureLog>,
): void {
  chat.on('span-end', (span) => {
    const { sessionId, outcome, durationMs } = span;
    const result =
      outcome === 'failed' ? `failed: ${reasonOf(span)}` : outcome === 'ok' ? 'done' : 'cancelled';
    log.debug({ sessionId, ...fieldsOf(span), ms: Math.round(durationMs) }, `${titleOf(span)}: ${result}`);
  });
  chat.on('retry', ({ failure, failed, delayMs, model, sessionId }) =>
    log.warn(
      {
        sessionId,
        key: failed.keyId,
        failed: failed.model,
        kind: failure.kind,
        next: model,
        delayMs: Math.round(delayMs),
      },
      `trying again: ${failure.message}`,
    ),
  );
  chat.on('media', ({ sessionId, index, progress }) =>
    log.debug({ sessionId, ...progress }, `attachment ${index + 1}: preparing`),
  );
  chat.on('reply', ({ reply }) =>
    log.info(
      {
        sessionId: reply.sessionId,
        model: reply.model,
        attachments: reply.media.length,
        recalled: reply.recalled.length,
        attempts: reply.attempts.length,
        tokens: reply.usage?.totalTokens,
        ms: Math.round(reply.timings.totalMs),
      },
      'answered',
    ),
  );
  chat.on('failure', ({ sessionId, error }) => logFailure(error, sessionId));
  chat.on('key', ({ type, keyId, project, model, reason, until, learned }) => {
    const fields = { key: keyId, project, model, learned, until: until && new Date(until).toISOString() };
    if (type === 'cooled') log.warn(fields, `a key cools down: ${reason ?? 'the service asked to wait'}`);
    else if (type === 'disabled') log.error(fields, `a key is switched off: ${reason ?? 'it was rejected'}`);
    else if (type === 'recovered') log.info(fields, 'a key is ready again');
    else log.info(fields, 'a limit was learned');
    if (type === 'disabled') warnWhenNoneIsLeft(chat, log);
  });
}

/** What a span was about, as the beginning of a log line. */
function titleOf(span: EndedSpan): string {
  switch (span.kind) {
    case 'call':
      return span.purpose === 'summary' ? 'summary' : 'call';
    case 'media':
      return `attachment ${span.index + 1}`;
    case 'recall':
      return 'reading memory';
    case 'lease':
      return 'waiting for a key';
    case 'attempt':
      return `attempt ${span.attempt}${span.isHedge ? ' (hedge)' : ''}`;
    case 'tool':
      return `tool ${span.name}`;
    case 'store':
      return 'writing memory';
  }
}

/** Details of a span; pino omits undefined fields. */
function fieldsOf(span: EndedSpan): object {
  const { keyId: key, usage, finishReason } = span;
  switch (span.kind) {
    case 'call':
      return { model: span.answeredBy ?? span.model, tokens: usage?.totalTokens };
    case 'media':
      return { mimeType: span.mimeType, tokens: span.estimatedTokens };
    case 'recall':
      return { recent: span.recentTurns, recalled: span.recalledTurns };
    case 'lease':
      return { model: span.model, key, project: span.project };
    case 'attempt':
      return {
        model: span.model,
        key,
        tokens: usage?.totalTokens,
        finish: finishReason,
        kind: span.failure?.kind,
      };
    default:
      return {};
  }
}

/** One sentence; the stack is logged with the failed call. */
function reasonOf({ failure, error }: EndedSpan): string {
  if (failure !== undefined) return failure.message;
  return error instanceof Error ? error.message : 'for an unknown reason';
}

function warnWhenNoneIsLeft(chat: MultimodalChat, log: Log): void {
  chat.stats().then(
    ({ keys }) => {
      if (keys.keys.some((key) => key.state !== 'disabled')) return;
      log.warn(
        'Every Gemini API key has been rejected, so no question can be answered. Check the keys at https://aistudio.google.com/apikey, set GEMINI_API_KEY and start again.',
      );
    },
    (error: unknown) => log.error({ err: error }, 'the state of the keys could not be read'),
  );
}
