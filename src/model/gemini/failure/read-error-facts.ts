import { isObject, type Json, parseJson } from '../json.js';
import { withJsonNames } from '../proto-names.js';
import type { ErrorFacts, QuotaViolation } from './error-facts.js';
import { wordsOf } from './error-words.js';

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** The error inside a reply: an envelope like Google's, or a list of one as an unframed stream sends it. */
export function findApiError(body: unknown): Json | undefined {
  const reply = Array.isArray(body) ? body.find((item) => isObject(item) && 'error' in item) : body;
  if (!isObject(reply)) return undefined;
  const { error } = reply;
  if (typeof error === 'string' && error !== '') return { message: error };
  return isObject(error) ? error : undefined;
}

/**
 * Google's errors have a status of `google.rpc.Code` or details of `google.rpc`. Envelopes of gateways have
 * neither, but often a `type`.
 */
const isGoogleError = ({ details, status, type }: Json): boolean =>
  type === undefined &&
  (/^[A-Z][A-Z_]+$/.test(String(status)) ||
    (Array.isArray(details) &&
      details.some((item) => isObject(item) && String(item['@type']).includes('google.rpc.'))));

/** A `google.protobuf.Duration` in JSON: seconds with up to nine decimals, such as `36s` or `34.4s`; or its fields. */
function parseDurationMs(value: unknown): number | undefined {
  if (isObject(value)) {
    const ms = Number(value.seconds ?? 0) * 1000 + Number(value.nanos ?? 0) / 1e6;
    return Number.isFinite(ms) && ms > 0 ? Math.ceil(ms) : undefined;
  }
  const seconds = /^(\d+(?:\.\d{1,9})?)s$/.exec(textOf(value) ?? '')?.[1];
  return seconds === undefined ? undefined : Math.ceil(Number(seconds) * 1000);
}

const millisecondsOf: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** `Please retry in 36.429760048s.`: the same delay as RetryInfo, but not cut to whole seconds. */
function parseRetrySentenceMs(message: string): number | undefined {
  const delay = /Please retry in ((?:\d+(?:\.\d+)?(?:h|ms|m|s))+)/.exec(message)?.[1];
  if (delay === undefined) return undefined;
  let total = 0;
  for (const [, amount, unit] of delay.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) {
    total += Number(amount) * (millisecondsOf[unit ?? ''] ?? 0);
  }
  return Math.ceil(total);
}

/** The header that proxies set (Gemini itself sends none): seconds, or a date. */
function parseRetryAfterMs(value: string | null | undefined, nowMs: number): number | undefined {
  if (value === null || value === undefined || value === '') return undefined;
  if (/^\s*\d+(?:\.\d+)?\s*$/.test(value)) return Math.ceil(Number(value) * 1000);
  // `Date.parse` also reads `-5` as a date.
  const date = /[a-z]/i.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

function violationOf(quotaId: string, quotaMetric: string, value: unknown): QuotaViolation {
  const name = `${quotaId} ${quotaMetric}`;
  const limit = /^\d+$/.test(String(value)) ? Number(value) : undefined;
  return {
    name,
    perDay: /PerDay/i.test(quotaId),
    unit: /token/i.test(name) ? 'tokens' : /requests/i.test(name) ? 'requests' : 'unknown',
    ...(limit === undefined ? {} : { limit }),
  };
}

function findViolations(message: string, info: Json | undefined, quota: Json | undefined): QuotaViolation[] {
  const listed = Array.isArray(quota?.violations) ? quota.violations.filter(isObject) : [];
  const violations = listed.map((violation) =>
    violationOf(textOf(violation.quotaId) ?? '', textOf(violation.quotaMetric) ?? '', violation.quotaValue),
  );
  const metadata = isObject(info?.metadata) ? info.metadata : undefined;
  if (metadata?.quota_limit !== undefined || metadata?.quota_limit_value !== undefined) {
    violations.push(
      violationOf(
        textOf(metadata.quota_limit) ?? '',
        textOf(metadata.quota_metric) ?? '',
        metadata.quota_limit_value,
      ),
    );
  }
  // The sentence names the metric but not the window, so only a limit of 0 is certain.
  for (const [, metric] of message.matchAll(/metric: (\S+), limit: 0(?![\d.])/g)) {
    violations.push(violationOf('', metric ?? '', 0));
  }
  return violations;
}

function findProject(message: string, info: Json | undefined): string | undefined {
  const metadata = isObject(info?.metadata) ? info.metadata : undefined;
  const consumer = textOf(metadata?.consumer) ?? '';
  return (
    /^projects\/(\d+)$/.exec(consumer)?.[1] ??
    /\bproject_number:(\d+)/.exec(message)?.[1] ??
    /\bproject[ =#]+(\d{6,})\b/.exec(message)?.[1]
  );
}

/**
 * Reads an error reply. The content type is not consulted: Gemini labels the JSON error of a stream
 * `text/event-stream`.
 */
export function readErrorFacts(reply: {
  readonly status?: number | undefined;
  /** Raw text, or parsed JSON. */
  readonly body?: unknown;
  readonly retryAfter?: string | null | undefined;
  readonly nowMs: number;
}): ErrorFacts {
  const parsed = typeof reply.body === 'string' ? parseJson(reply.body) : reply.body;
  const error = findApiError(withJsonNames(parsed));
  const details = Array.isArray(error?.details) ? error.details.filter(isObject) : [];
  const detail = (type: string) =>
    details.find((item) => String(item['@type']).endsWith(`google.rpc.${type}`));
  const message = textOf(error?.message) ?? wordsOf(parsed ?? reply.body);
  const info = detail('ErrorInfo');
  const code = typeof error?.code === 'number' ? error.code : undefined;
  // Inside a 200 stream the error's own code is the status.
  const status = reply.status === undefined || reply.status < 400 ? (code ?? reply.status) : reply.status;
  return {
    status,
    isApiError: error !== undefined,
    isGoogle: error !== undefined && isGoogleError(error),
    // Half of a JSON reply is no page.
    isPage: typeof reply.body === 'string' && /^\s*[^\s[{]/.test(reply.body) && parsed === undefined,
    message,
    rpcStatus: textOf(error?.status),
    reason: textOf(info?.reason),
    project: findProject(message, info),
    violations: findViolations(message, info, detail('QuotaFailure')),
    retryAfterMs:
      parseRetrySentenceMs(message) ??
      parseDurationMs(detail('RetryInfo')?.retryDelay) ??
      parseRetryAfterMs(reply.retryAfter, reply.nowMs),
  };
}
