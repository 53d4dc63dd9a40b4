import type { Fetch } from '@google/genai';
import { ModelCallError } from '../../core/errors.js';
import type { Redactor } from '../../core/redact.js';
import type { CallEvidence } from './failure/classify-failure.js';
import { classifyFailure } from './failure/classify-failure.js';
import { withUntimedDispatcher } from './untimed-dispatcher.js';

/** The rest of a longer error page is not read. */
const maxErrorBytes = 256 * 1024;

/** The body of an error as far as it comes: its status means what it means without. */
async function readErrorBody(response: Response, signal: AbortSignal): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of (response.body ?? []) as unknown as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes > maxErrorBytes) break;
    }
  } catch (error) {
    if (signal.aborted) throw error;
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Throws what Node's `fetch` refuses before anything is sent: an URL with a password, a broken header. */
function checkRequest(url: Parameters<Fetch>[0], init: RequestInit | undefined): void {
  const { body: _, ...head } = init ?? {};
  new Request(url, { ...head, signal: null });
}

/** One exchange with the service, at the level of `fetch`, below the SDK. */
export class GeminiExchange {
  readonly #signal: AbortSignal;
  readonly #redactor: Redactor;
  readonly #fetch: typeof globalThis.fetch | undefined;
  #wasSent = false;
  #hasReply = false;

  /** @param fetch Makes the request. Default: the global one, without its time limits. */
  constructor(signal: AbortSignal, redactor: Redactor, fetch?: typeof globalThis.fetch) {
    this.#signal = signal;
    this.#redactor = redactor;
    this.#fetch = fetch;
  }

  /** Whether the request was handed to the network. */
  get wasSent(): boolean {
    return this.#wasSent;
  }

  /** Whether a successful reply has begun. */
  get hasReply(): boolean {
    return this.#hasReply;
  }

  /**
   * The `httpOptions.fetch` of this exchange. The SDK gets successful replies only: its own errors lose
   * headers and wrap bodies.
   *
   * @throws ModelCallError for any reply but a 2xx.
   */
  readonly fetch: Fetch = async (url, init) => {
    // A `fetch` of the app may send what Node's refuses.
    if (this.#fetch !== undefined) checkRequest(url, init);
    this.#wasSent = true;
    const response = await this.#send(url, init);
    this.#hasReply = response.ok;
    if (response.ok) return response;
    throw new ModelCallError(
      this.#classify({
        status: response.status,
        body: await readErrorBody(response, this.#signal),
        retryAfter: response.headers.get('retry-after'),
      }),
    );
  };

  async #send(url: Parameters<Fetch>[0], init: RequestInit | undefined): Promise<Response> {
    // A redirect would carry the key to another host.
    const options = { ...init, signal: this.#signal, redirect: 'manual' } as const;
    if (this.#fetch !== undefined) return this.#fetch(url, options);
    try {
      return await fetch(url, { ...options, ...withUntimedDispatcher() });
    } catch (error) {
      this.#wasSent = false;
      // Looked at only now, because it takes as long as a good part of the call.
      checkRequest(url, init);
      this.#wasSent = true;
      throw error;
    }
  }

  /** Anything thrown in the exchange as a `ModelCallError` without key values. */
  toPublicError(error: unknown): unknown {
    return ModelCallError.isInstance(error)
      ? error
      : new ModelCallError(this.#classify({ error, sent: this.#wasSent, hasReply: this.#hasReply }));
  }

  #classify(evidence: CallEvidence) {
    return classifyFailure({ ...evidence, redactor: this.#redactor });
  }
}
