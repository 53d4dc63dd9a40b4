import type { Fetch } from '@google/genai';
import { linkedController } from '../../core/abort.js';
import { exponentialDelayMs } from '../../core/backoff.js';
import { type Clock, sleep } from '../../core/clock.js';
import { ModelCallError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import type { Redactor } from '../../core/redact.js';
import { GeminiExchange } from './gemini-exchange.js';

export interface ResumeOptions {
  readonly clock: Clock;
  readonly redactor: Redactor;
  readonly signal: AbortSignal;
  /** Makes the requests. Default: the global one. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** An upload fails after this many attempts in a row in which no further byte arrived. */
const maxFruitlessAttempts = 4;
const delays = { initialMs: 500, maxMs: 4_000 };
/** The SDK sends 8 MiB at a time, which takes this long at 0.6 Mbit/s. A longer request has stalled. */
const requestTimeoutMs = 120_000;

/** Transient failures. */
const transientKinds: ReadonlySet<Failure['kind']> = new Set([
  'network',
  'timeout',
  'internal',
  'overloaded',
]);

/**
 * A `fetch` for storing a file. The uploader of `@google/genai` 2.32 gives up on a broken connection, and a
 * new upload starts at the first byte. This one queries how much has arrived, as the protocol allows, and
 * sends the rest. GET requests are repeated.
 *
 * @throws ModelCallError
 */
export function resumingFetch(options: ResumeOptions): Fetch {
  return async (url, init) => {
    const { clock, signal } = options;
    const whole = init?.body instanceof Blob ? init.body : undefined;
    const headers = new Headers(init?.headers);
    const isRepeatable = whole !== undefined || (init?.method ?? 'GET') === 'GET';
    const start = Number(headers.get('x-goog-upload-offset'));
    let offset = start;
    for (let fruitless = 0; ; ) {
      try {
        if (whole === undefined) return await send(url, init, options);
        headers.set('x-goog-upload-offset', String(offset));
        return await send(url, { ...init, headers, body: whole.slice(offset - start) }, options);
      } catch (error) {
        fruitless += 1;
        if (signal.aborted || !isRepeatable || !isTransient(error) || fruitless >= maxFruitlessAttempts)
          throw error;
        await sleep(clock, exponentialDelayMs(fruitless, delays), signal);
        if (whole === undefined) continue;
        const arrived = await queryArrived(url, headers, error, options);
        if (arrived === undefined) continue;
        if (arrived < offset || arrived > start + whole.size) throw error;
        if (arrived > offset) fruitless = 0;
        offset = arrived;
      }
    }
  };
}

/**
 * How many bytes of the upload have arrived; undefined if the query failed for now.
 *
 * @throws `failure` if the upload cannot be resumed.
 */
async function queryArrived(
  url: Parameters<Fetch>[0],
  headers: Headers,
  failure: unknown,
  options: ResumeOptions,
): Promise<number | undefined> {
  const query = new Headers(headers);
  query.set('x-goog-upload-command', 'query');
  query.delete('x-goog-upload-offset');
  let response: Response;
  try {
    response = await send(url, { method: 'POST', headers: query }, options);
  } catch (error) {
    if (isTransient(error) && !options.signal.aborted) return undefined;
    throw failure;
  }
  await response.body?.cancel();
  // The reply to an upload that is complete is lost with the connection.
  if (response.headers.get('x-goog-upload-status') !== 'active') throw failure;
  return Number(response.headers.get('x-goog-upload-size-received'));
}

/** One request with a time limit. */
async function send(
  url: Parameters<Fetch>[0],
  init: Parameters<Fetch>[1],
  { clock, fetch, redactor, signal }: ResumeOptions,
): Promise<Response> {
  signal.throwIfAborted();
  const link = linkedController(signal);
  let isLate = false;
  const timer = clock.setTimeout(() => {
    isLate = true;
    link.controller.abort();
  }, requestTimeoutMs);
  const exchange = new GeminiExchange(link.signal, redactor, fetch);
  try {
    return await exchange.fetch(url, init);
  } catch (error) {
    throw isLate ? stalled() : exchange.toPublicError(error);
  } finally {
    clock.clearTimeout(timer);
    link.unlink();
  }
}

const isTransient = (error: unknown) =>
  ModelCallError.isInstance(error) && transientKinds.has(error.failure.kind);

function stalled(): ModelCallError {
  const message = `Gemini took no bytes of an upload for ${requestTimeoutMs / 1000} s: try again.`;
  return new ModelCallError({ kind: 'timeout', scope: 'call', reason: 'UPLOAD', message });
}
