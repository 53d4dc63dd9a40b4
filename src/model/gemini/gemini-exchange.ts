import type { Fetch } from '@google/genai';
import { ModelCallError } from '../../core/errors.js';
import type { Redactor } from '../../core/redact.js';
import type { CallEvidence } from './classify-failure.js';
import { classifyFailure } from './classify-failure.js';
import { untimedDispatcher } from './untimed-dispatcher.js';

/** The rest of a longer error page is not read. */
const maxErrorBytes = 256 * 1024;

async function readErrorBody(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (response.body) {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes > maxErrorBytes) break;
    }
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** One exchange with the service, at the level of `fetch`, below the SDK. */
export class GeminiExchange {
  readonly #signal: AbortSignal;
  readonly #redactor: Redactor;
  #wasSent = false;

  constructor(signal: AbortSignal, redactor: Redactor) {
    this.#signal = signal;
    this.#redactor = redactor;
  }

  /** Whether the request was handed to the network. */
  get wasSent(): boolean {
    return this.#wasSent;
  }

  /**
   * The `httpOptions.fetch` of this exchange. The SDK gets successful replies only: its own errors lose
   * headers and wrap bodies.
   *
   * @throws ModelCallError for any reply but a 2xx.
   */
  readonly fetch: Fetch = async (url, init) => {
    this.#wasSent = true;
    const dispatcher = untimedDispatcher();
    const options = {
      ...init,
      signal: this.#signal,
      // A redirect would carry the key to another host.
      redirect: 'manual',
      ...(dispatcher === undefined ? {} : { dispatcher }),
    } as const;
    const response = await fetch(url, options as RequestInit);
    if (response.ok) return response;
    throw new ModelCallError(
      this.#classify({
        status: response.status,
        body: await readErrorBody(response),
        retryAfter: response.headers.get('retry-after'),
      }),
    );
  };

  /** Anything thrown in the exchange as a `ModelCallError` without key values. */
  toPublicError(error: unknown): unknown {
    return ModelCallError.isInstance(error)
      ? error
      : new ModelCallError(this.#classify({ error, sent: this.#wasSent }));
  }

  #classify(evidence: CallEvidence) {
    return classifyFailure({ ...evidence, redactor: this.#redactor });
  }
}
