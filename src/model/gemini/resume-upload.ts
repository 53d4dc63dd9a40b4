import type { Fetch } from '@google/genai';
import { type Clock, sleep } from '../../core/clock.js';
import { ModelCallError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import type { Redactor } from '../../core/redact.js';
import { GeminiExchange } from './gemini-exchange.js';

export interface ResumeOptions {
  readonly clock: Clock;
  readonly redactor: Redactor;
  readonly signal: AbortSignal;
}

/** Tries in a row that brought the upload no further, after which it is given up. */
const mostFruitlessTries = 4;
const firstDelayMs = 500;
/** The SDK sends 8 MiB at a time, for which a line of 0.6 Mbit/s needs so long. A longer one has stalled. */
const longestRequestMs = 120_000;

/** Faults of the way, not of the request. */
const passingKinds: ReadonlySet<Failure['kind']> = new Set(['network', 'timeout', 'internal', 'overloaded']);

/**
 * A `fetch` for storing a file. The uploader of `@google/genai` 2.32 gives a broken connection up, and a
 * new upload begins at the first byte. This one asks how much has arrived, as the protocol has it, and
 * sends the rest. Questions about the file are asked again.
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
        if (signal.aborted || !isRepeatable || !isPassing(error) || fruitless >= mostFruitlessTries)
          throw error;
        await sleep(clock, firstDelayMs * 2 ** (fruitless - 1), signal);
        if (whole === undefined) continue;
        const arrived = await askArrived(url, headers, error, options);
        if (arrived === undefined) continue;
        if (arrived < offset || arrived > start + whole.size) throw error;
        if (arrived > offset) fruitless = 0;
        offset = arrived;
      }
    }
  };
}

/**
 * How many bytes of the upload have arrived; nothing when that cannot be found out just now.
 *
 * @throws `failure` when there is nothing to go on with.
 */
async function askArrived(
  url: Parameters<Fetch>[0],
  headers: Headers,
  failure: unknown,
  options: ResumeOptions,
): Promise<number | undefined> {
  const asking = new Headers(headers);
  asking.set('x-goog-upload-command', 'query');
  asking.delete('x-goog-upload-offset');
  let response: Response;
  try {
    response = await send(url, { method: 'POST', headers: asking }, options);
  } catch (error) {
    if (isPassing(error) && !options.signal.aborted) return undefined;
    throw failure;
  }
  await response.body?.cancel();
  // One that is over all the same has given its answer to nobody.
  if (response.headers.get('x-goog-upload-status') !== 'active') throw failure;
  return Number(response.headers.get('x-goog-upload-size-received'));
}

/** One request, given up when it takes too long. */
async function send(
  url: Parameters<Fetch>[0],
  init: Parameters<Fetch>[1],
  { clock, redactor, signal }: ResumeOptions,
): Promise<Response> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const cancel = () => controller.abort(signal.reason);
  let isLate = false;
  const timer = clock.setTimeout(() => {
    isLate = true;
    controller.abort();
  }, longestRequestMs);
  const exchange = new GeminiExchange(controller.signal, redactor);
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await exchange.fetch(url, init);
  } catch (error) {
    throw isLate ? stalled() : exchange.toPublicError(error);
  } finally {
    clock.clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
  }
}

const isPassing = (error: unknown) =>
  ModelCallError.isInstance(error) && passingKinds.has(error.failure.kind);

function stalled(): ModelCallError {
  const message = `Gemini took no bytes of an upload for ${longestRequestMs / 1000} s: try again.`;
  return new ModelCallError({ kind: 'timeout', scope: 'call', reason: 'UPLOAD', message });
}
