import type { FaultName, RawReply } from '../faults/faults.js';
import {
  badKey,
  corruptedSignature,
  deadline,
  expiredKey,
  internal,
  invalidArgument,
  invalidSignature,
  leakedKey,
  modelNotFound,
  overloaded,
  quotaExceeded,
  rateLimitBare,
  restrictedKey,
  serviceDisabled,
  spendLimit,
  suspended,
} from '../wire/error-bodies.js';
import type { WireErrorBody } from '../wire/messages.js';
import type { Exchange } from './exchange.js';
import { sendError, sendJson, sendText } from './respond.js';

type Refusal = (exchange: Exchange) => WireErrorBody;

const defaultRetryDelayMs = 30_000;
/** As recorded. Clients must ignore it: the quota lasts until midnight. */
const dailyRetryDelayMs = 36_430;

/** Faults that are refusals, sent before any quota is charged. */
const refusals: Readonly<Partial<Record<FaultName, Refusal>>> = {
  'bad-key': ({ call }) => badKey(call.key),
  'expired-key': expiredKey,
  'restricted-key': ({ project, route }) => restrictedKey(projectNumber(project.id), route.method),
  'leaked-key': leakedKey,
  suspended: ({ call, project }) => suspended(call.key, projectNumber(project.id)),
  'service-disabled': ({ project }) => serviceDisabled(projectNumber(project.id)),
  'rate-limit': ({ call, injection }) =>
    quotaExceeded(
      [{ quota: 'rpm', limit: 10, waitMs: injection?.delayMs ?? defaultRetryDelayMs }],
      call.model,
    ),
  'token-limit': ({ call, injection }) =>
    quotaExceeded(
      [{ quota: 'tpm', limit: 250_000, waitMs: injection?.delayMs ?? defaultRetryDelayMs }],
      call.model,
    ),
  'rate-limit-bare': rateLimitBare,
  'daily-quota': ({ call }) =>
    quotaExceeded([{ quota: 'rpd', limit: 20, waitMs: dailyRetryDelayMs }], call.model),
  'no-quota': ({ call }) =>
    quotaExceeded(
      (['rpd', 'rpm', 'tpm'] as const).map((quota) => ({ quota, limit: 0, waitMs: 10_970 })),
      call.model,
    ),
  'spend-limit': spendLimit,
  'invalid-argument': () => invalidArgument(),
  'corrupted-signature': corruptedSignature,
  'invalid-signature': invalidSignature,
  overloaded,
  internal,
  deadline,
  'model-not-found': ({ call, route }) => modelNotFound(call.model, route.version, route.method),
};

const plainText = 'text/plain; charset=utf-8';
const html = 'text/html; charset=UTF-8';

const signInPage =
  '<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n<title>Sign in</title>\n' +
  '<h1>Sign in to use this network</h1>\n';

const htmlPage =
  '<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n<title>502 Bad Gateway</title>\n' +
  '<h1>502 Bad Gateway</h1>\n<p>The server encountered a temporary error.</p>\n';

/** Replies of a proxy or gateway that are not in Gemini's format. */
const foreignReplies: Readonly<Partial<Record<FaultName, (exchange: Exchange) => RawReply>>> = {
  'html-error': () => ({ status: 502, contentType: html, body: htmlPage }),
  'gateway-unauthorized': ({ call }) => ({ status: 401, body: { message: `Invalid API key: ${call.key}` } }),
  'gateway-forbidden': () => ({
    status: 403,
    body: { detail: 'Your team is not allowed to use this model.' },
  }),
  'gateway-rate-limit': () => ({ status: 429, body: { error: 'Too many requests, slow down.' } }),
  'gateway-unavailable': () => ({
    status: 503,
    contentType: plainText,
    body: 'upstream connect error or disconnect/reset before headers',
  }),
  'gateway-sign-in': () => ({ contentType: html, body: signInPage }),
};

/** Answers with the injected reply or refusal, if there is one. Returns false if the call is to be served. */
export function answerInjected(exchange: Exchange): boolean {
  const { injection, response, route } = exchange;
  if (!injection) return false;
  const { fault } = injection;
  const reply = injection.reply ?? (fault && foreignReplies[fault]?.(exchange));
  if (reply) sendRaw(exchange, reply);
  else if (fault === 'reset-before-headers' || fault === 'refuse') exchange.connection.reset();
  else {
    const refusal = fault && refusals[fault];
    if (!refusal) return false;
    sendError(response, route, refusal(exchange));
  }
  return true;
}

function sendRaw(exchange: Exchange, { status = 200, contentType, body }: RawReply): void {
  const type = contentType ?? 'application/json; charset=UTF-8';
  if (typeof body === 'string') sendText(exchange.response, body, type, status);
  else sendJson(exchange.response, body, type, status);
}

/** A twelve-digit project number like Google's. */
function projectNumber(id: string): string {
  let number = 7n;
  for (const character of id)
    number = (number * 1_000_003n + BigInt(character.codePointAt(0) ?? 0)) % 900_000_000_000n;
  return String(100_000_000_000n + number);
}
