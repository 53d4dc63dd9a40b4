import type { RequestHandler } from 'express';
import type { MultimodalChat } from 'multimodal-chat';
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

/** What pages and monitors ask every few seconds would drown everything else. */
const isPolling = (path: string) => path === '/stats' || path === '/health';

/** Logs each failure once, though the chat and the HTTP layer both tell of it. */
export function makeFailureLog(log: Log): (error: unknown, sessionId?: string) => void {
  const logged = new WeakSet<object>();
  return (error, sessionId) => {
    if (typeof error === 'object' && error !== null) {
      if (logged.has(error)) return;
      logged.add(error);
    }
    // An error of the package says in one sentence what happened; any other is a bug, and needs its stack.
    if (MultimodalChatError.isInstance(error)) {
      log.error({ sessionId, code: error.code }, `a call failed: ${error.message}`);
    } else log.error({ sessionId, err: error }, 'a call failed');
  };
}

/** Logs what happens inside the chat, at the level that fits. */
export function logChatEvents(
  chat: MultimodalChat,
  log: Log,
  logFailure: ReturnType<typeof makeFailureLog>,
): void {
  chat.on('span-end', ({ kind, sessionId, outcome, durationMs, ...span }) =>
    log.debug(
      {
        sessionId,
        outcome,
        ms: Math.round(durationMs),
        ...('model' in span && { model: span.model }),
        key: span.keyId,
        recalled: span.recalledTurns,
      },
      kind,
    ),
  );
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
  chat.on('media', ({ sessionId, progress }) =>
    log.debug({ sessionId, ...progress }, 'preparing an attachment'),
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
    if (type === 'cooled') log.warn(fields, `a key cools down: ${reason ?? 'it was told to wait'}`);
    else if (type === 'disabled') log.error(fields, `a key is switched off: ${reason ?? 'it was rejected'}`);
    else if (type === 'recovered') log.info(fields, 'a key is ready again');
    else log.info(fields, 'a limit was learned');
    if (type === 'disabled') warnWhenNoneIsLeft(chat, log);
  });
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
