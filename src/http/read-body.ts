import type { ByteShare } from './byte-budget.js';
import { bodyTooLarge } from './http-error.js';
import type { BodyReader } from './http-messages.js';

export interface BodyBounds {
  readonly maxBytes: number;
  /** The share of the request in what all bodies in memory may take. */
  readonly share: ByteShare;
  /** Called with every chunk; throws to refuse the rest. */
  readonly take: (chunk: Uint8Array) => void;
}

/**
 * Reads a whole body.
 *
 * @throws HttpError 413 as soon as more than `maxBytes` have arrived, or what `take` throws.
 */
export async function readBody(body: BodyReader, { maxBytes, share, take }: BodyBounds): Promise<void> {
  let received = 0;
  try {
    for (;;) {
      const { done, value } = await body.read();
      if (done || value === undefined) return;
      received += value.byteLength;
      if (received > maxBytes) throw bodyTooLarge(maxBytes);
      share.hold(received);
      take(value);
    }
  } catch (error) {
    // The rest is discarded anyway, so a failure to cancel it does not matter.
    await body.cancel(error).catch(() => undefined);
    throw error;
  }
}
