import type { Failure } from '../../../core/failure.js';
import type { Redactor } from '../../../core/redact.js';

/** Network error codes in words; others are reported by their code. */
const networkFaults: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was closed while sending',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name could not be looked up',
  ETIMEDOUT: 'the connection timed out',
  ENETUNREACH: 'the network is unreachable',
  EHOSTUNREACH: 'the host is unreachable',
  UND_ERR_SOCKET: 'the connection was closed by the other side',
  UND_ERR_CONNECT_TIMEOUT: 'no connection was made in time',
};

const timeoutCodes: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** The first error code in a chain of causes: undici hides it below `TypeError: fetch failed`. */
function findCode(error: unknown, depth = 0): string | undefined {
  if (!(error instanceof Error) || depth > 8) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  const inside = error instanceof AggregateError ? error.errors.map((item) => findCode(item, depth + 1)) : [];
  return inside.find((code) => code !== undefined) ?? findCode(error.cause, depth + 1);
}

/** What Node's `fetch` says of requests that it does not make, below its `fetch failed` or in place of it. */
const refusals = /bad port|scheme|credentials|parse url|invalid url|invalid (?:header|method)|ByteString/i;

/** Whether `fetch` refused to make the request at all, which no other attempt changes. */
function isRefused(error: unknown, code: string | undefined): error is TypeError {
  if (!(error instanceof TypeError)) return false;
  const { cause, message } = error;
  if (code !== undefined) return code === 'ERR_INVALID_URL';
  return refusals.test(cause instanceof Error ? cause.message : message);
}

/** Node's `fetch` fails on a 407 with an error that says nothing at all. */
const isProxyRefusal = (error: unknown) =>
  error instanceof TypeError && error.cause instanceof Error && error.cause.message === '';

/** Classifies what was thrown before the request left, on the way, or while reading the reply. */
export function classifyThrown(
  error: unknown,
  { hasReply, sent }: { readonly hasReply: boolean; readonly sent: boolean },
  redactor: Redactor,
): Failure {
  const cause = redactor.error(error);
  const code = findCode(error);
  // The SDK first puts the key into a header, which fails for a key that no header can hold.
  if (!sent && /header|ByteString|ephemeral tokens/i.test(cause.message)) {
    return {
      kind: 'auth',
      scope: 'key',
      reason: 'API_KEY_UNUSABLE',
      message:
        'The API key cannot be sent: it is not an API key, or holds characters that no key has. Replace it.',
      cause,
    };
  }
  if (isRefused(error, code)) {
    const why = cause.cause instanceof Error ? cause.cause.message : cause.message;
    return {
      kind: 'invalid-request',
      scope: 'call',
      reason: 'REQUEST_REFUSED',
      message: `The request cannot be sent (${why}): check \`baseUrl\` (GOOGLE_GEMINI_BASE_URL) and \`headers\`.`,
      cause,
    };
  }
  if (code === undefined && isProxyRefusal(error)) {
    const message =
      'A proxy asks for a user name and password (HTTP 407): put them into the URL of the proxy, or go around it with NO_PROXY.';
    return { kind: 'permission', scope: 'call', reason: 'PROXY_AUTHENTICATION', message, cause };
  }
  if (!sent) {
    const message = `The request could not be built: ${cause.message}`;
    return { kind: 'invalid-request', scope: 'call', message, cause };
  }
  if (error instanceof SyntaxError) {
    return {
      kind: 'incomplete',
      scope: 'call',
      reason: 'MALFORMED_JSON',
      message: 'The reply holds broken JSON: try again.',
      cause,
    };
  }
  const reason = code === undefined ? {} : { reason: code };
  if (code !== undefined && timeoutCodes.has(code)) {
    return {
      kind: 'timeout',
      scope: 'call',
      ...reason,
      message: 'Gemini did not answer in time: try again.',
      cause,
    };
  }
  if (code !== undefined || error instanceof TypeError) {
    // undici reports only `fetch failed` on top.
    const detail =
      cause.cause instanceof Error && cause.cause.message !== '' ? cause.cause.message : cause.message;
    const fault = (code && networkFaults[code]) ?? [code, detail].filter(Boolean).join(': ');
    return {
      kind: 'network',
      scope: 'call',
      ...reason,
      message: hasReply
        ? `The connection broke in the middle of the answer (${fault}): ask again, and check any proxy in between.`
        : `Gemini could not be reached: ${fault}.`,
      cause,
    };
  }
  return { kind: 'internal', scope: 'call', message: `The call failed: ${cause.message}`, cause };
}
