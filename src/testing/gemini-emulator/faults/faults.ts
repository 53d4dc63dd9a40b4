import type { GeminiOperation } from '../journal/recorded-call.js';
import type { WireErrorBody } from '../wire/messages.js';

/** Faults that can be injected, each as the real service or a proxy in front of it shows it. */
export const faultNames = [
  /** 400 `API_KEY_INVALID`, with the key echoed in clear. */
  'bad-key',
  /** 400 `API_KEY_INVALID` of a key that has expired. */
  'expired-key',
  /** 403 `API_KEY_SERVICE_BLOCKED`: the restrictions of the key forbid the call. */
  'restricted-key',
  /** 403 without details; only its message identifies it. */
  'leaked-key',
  /** 403 `CONSUMER_SUSPENDED` of the whole project, with the key echoed in clear. */
  'suspended',
  /** 403 `SERVICE_DISABLED` of the whole project. */
  'service-disabled',
  /** 429 of the requests per minute, with `QuotaFailure` and `RetryInfo` (`delayMs`, default 30 s). */
  'rate-limit',
  /** 429 of the input tokens per minute, like `rate-limit`. */
  'token-limit',
  /** 429 without any details. */
  'rate-limit-bare',
  /** 429 of the requests per day, with a misleading short delay. */
  'daily-quota',
  /** 429 with a limit of 0: the project may not use the model at all. */
  'no-quota',
  /** 503 */
  'overloaded',
  /** 500 */
  'internal',
  /** 504 */
  'deadline',
  /** 404 */
  'model-not-found',
  /**
   * The port is closed for `delayMs` (default 1 s) from the injection on: all connections are refused.
   * Calls that are being answered go on. As a random fault it begins with a call, which is reset.
   */
  'refuse',
  /** The connection is reset as soon as the request has arrived. */
  'reset-before-headers',
  /** The connection is cut after `afterChunks` chunks. */
  'reset-mid-body',
  /** Silence for `delayMs` (default 3 s), then the answer. */
  'slow-first-byte',
  /** Silence after `afterChunks` chunks, until the client hangs up. */
  'stall',
  /** The body arrives 24 bytes at a time, `delayMs` (default 5 ms) apart. */
  'trickle',
  /** Writes that end in the middle of each multi-byte character. */
  'split-utf8',
  /** Writes that end between the CR and the LF of each line. */
  'crlf',
  /** 502 with an HTML page, as a proxy sends it. */
  'html-error',
  /** The right answer with content type `text/html`. */
  'wrong-content-type',
  /** The body ends cleanly in the middle of its last JSON object. */
  'truncated-json',
  /** The stream ends cleanly without a `finishReason`. */
  'no-finish',
  /** An SSE `event: error` after `afterChunks` chunks. */
  'event-error',
  /** A bare JSON error after `afterChunks` chunks, with status 200. */
  'error-in-stream',
  /** Each chunk but the last one arrives twice. */
  'duplicate-chunks',
  /** Thoughts, then `STOP`, and no text. */
  'thoughts-only',
  /** `candidates` is empty, without a reason. */
  'empty-candidates',
  /** Status 200 with an empty body. */
  'empty-body',
  /** Half an answer, then the finish reason `SAFETY`. */
  'safety',
  /** No answer, but `promptFeedback.blockReason`. */
  'prompt-blocked',
  /** No answer, but an unknown `blockReason`. */
  'unknown-block',
  /** Half an answer, then the finish reason `RECITATION`. */
  'recitation',
  /** Half an answer, then the finish reason `MAX_TOKENS`. */
  'max-tokens',
  /** The answer with an unknown finish reason. */
  'unknown-finish',
  /** One chunk of 10 MB. */
  'big-chunk',
  /** `data: [DONE]` after the last chunk, as OpenAI-compatible proxies add it. */
  'done-marker',
  /** Lines end with LF alone, and `data: [DONE]` comes last, without an end of line. */
  'done-marker-lf',
  /** The connection stays open after the last chunk, until the client hangs up. */
  'open-end',
  /** The connection is reset right after the last chunk. */
  'reset-after-end',
  /** A comment, half JSON, HTML and an event of another protocol after the last chunk. */
  'rubbish-after-end',
  /** An SSE `event: error`, and the same error as data, after the last chunk with its `STOP`. */
  'error-after-end',
  /** The finish reason `FINISH_REASON_UNSPECIFIED` in every chunk but the last one, which has `STOP`. */
  'unspecified-finish',
  /** The finish reason `STOP` in every chunk. */
  'repeated-finish',
  /** The counts come alone, in a chunk after the one with the finish reason. */
  'late-usage',
  /** The stream is a JSON array and no events, as with `alt=json`. */
  'json-array',
  /** The stream is one JSON object and no events, as without streaming. */
  'json-object',
  /** The stream is one JSON object a line and no events. */
  'ndjson',
  /** The reply begins at once, then silence for `delayMs` (default 10 s) after `afterChunks` (default 0) chunks. */
  'slow-thinking',
  /** 400 `INVALID_ARGUMENT` without a reason. */
  'invalid-argument',
  /** 400 `Corrupted thought signature.` on each call that holds a signature; other calls are answered. */
  'corrupted-signature',
  /** 400 `Invalid thought signature` on each call that holds a signature; other calls are answered. */
  'invalid-signature',
  /** 429 of what the project spends in ten minutes, without `QuotaFailure` and `RetryInfo`. */
  'spend-limit',
  /** 401 `{"message": ...}` of a gateway in front of Gemini, with the key echoed in clear. */
  'gateway-unauthorized',
  /** 403 `{"detail": ...}` of a gateway. */
  'gateway-forbidden',
  /** 429 `{"error": "..."}` of a gateway. */
  'gateway-rate-limit',
  /** 503 in plain text of a gateway. */
  'gateway-unavailable',
  /** 200 with an HTML page of a gateway that asks to sign in. */
  'gateway-sign-in',
] as const;

/** Faults of an uploaded file, to be injected before its upload begins. */
export const uploadFaultNames = [
  /** Half of the bytes arrive, then the connection is reset. `query` returns the offset to go on from. */
  'upload-cut',
  /** The file is `FAILED`, not `ACTIVE`, once it has been processed. */
  'file-failed',
] as const;

export type UploadFaultName = (typeof uploadFaultNames)[number];

export type FaultName = (typeof faultNames)[number] | UploadFaultName;

/** The share of calls to models that each fault hits, from 0 to 1. */
export type FaultRates = Readonly<Partial<Record<(typeof faultNames)[number], number>>>;

export const defaultRefusalMs = 1000;

export const isSignatureFault = (fault: string | undefined): boolean =>
  fault === 'corrupted-signature' || fault === 'invalid-signature';

export const isUploadFault = (fault: string | undefined): fault is UploadFaultName =>
  uploadFaultNames.some((name) => name === fault);

/** A reply that is sent unchanged. An object is sent as JSON. */
export interface RawReply {
  /** Default 200. */
  readonly status?: number | undefined;
  /** Default `application/json; charset=UTF-8`. */
  readonly contentType?: string | undefined;
  readonly body: unknown;
}

/** A fault or a reply for the next matching calls. */
export interface Injection {
  readonly fault?: FaultName | undefined;
  readonly reply?: RawReply | undefined;
  /** How many calls it applies to. Default 1; `Infinity` until `clearFaults()`. */
  readonly times?: number | undefined;
  /** Only calls with this key. */
  readonly key?: string | undefined;
  /** Only calls of this model. */
  readonly model?: string | undefined;
  /** Only calls of this kind, or `any`. Default `generate`, streamed or not; `upload` for faults of uploads. */
  readonly operation?: GeminiOperation | 'any' | undefined;
  /** How many chunks are sent before a fault in mid-answer. Default 1, of `slow-thinking` 0. */
  readonly afterChunks?: number | undefined;
  /** Delay of slow faults, duration of `refuse`, advised delay of limits per minute. In milliseconds. */
  readonly delayMs?: number | undefined;
  /** The error of `event-error`, `error-in-stream` and `error-after-end`. Default: 503 of an overloaded model. */
  readonly error?: WireErrorBody | undefined;
}
