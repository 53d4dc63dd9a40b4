import type { DescribedError } from './describe-error.js';
import type { HttpResponse } from './http-messages.js';

const jsonType = 'application/json; charset=utf-8';

/** Headers of every reply. */
const alwaysHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
};

export function respond(
  body: string | Uint8Array | ReadableStream<Uint8Array> | null,
  contentType: string | undefined,
  { status = 200, headers = {} }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): HttpResponse {
  const all: Record<string, string> = { ...alwaysHeaders, ...headers };
  if (contentType !== undefined) all['content-type'] = contentType;
  if (body === null || body instanceof ReadableStream) return { status, headers: all, body };
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  all['content-length'] = String(bytes.byteLength);
  return { status, headers: all, body: bytes };
}

export function respondWithJson(
  value: unknown,
  init?: { status?: number; headers?: Readonly<Record<string, string>> },
): HttpResponse {
  return respond(`${JSON.stringify(value)}\n`, jsonType, init);
}

/** `{"detail": sentence, "error": {…}}`, the shape of every error. */
export function errorBody({ code, message, retryAfterMs }: DescribedError): object {
  return { detail: message, error: { code, message, retry_after_ms: retryAfterMs } };
}

export function respondWithError(described: DescribedError): HttpResponse {
  const { status, headers, retryAfterMs } = described;
  const retryAfter =
    retryAfterMs === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) };
  return respondWithJson(errorBody(described), { status, headers: { ...retryAfter, ...headers } });
}

/** Percent-encodes text that is not plain ASCII, since header values are bytes. */
export function headerValue(text: string): string {
  return /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) ? text : encodeURIComponent(text);
}
