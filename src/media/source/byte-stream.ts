import { raceAbort } from '../../core/abort.js';
import { InvalidInputError } from '../../core/errors.js';

/**
 * The chunks of a stream as bytes, until it ends or `signal` aborts, even while the stream
 * stalls. The stream is closed however the loop ends.
 */
export async function* readAll(
  chunks: AsyncIterable<unknown>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    signal.throwIfAborted();
    while (true) {
      const { done, value } = await raceAbort(iterator.next(), signal);
      if (done) return;
      yield asBytes(value);
    }
  } finally {
    closeStream(chunks, iterator);
  }
}

/** Not waited for: an iterator that hangs in `next` would hang in `return` as well. */
function closeStream(chunks: AsyncIterable<unknown>, iterator: AsyncIterator<unknown>): void {
  if ('destroy' in chunks && typeof chunks.destroy === 'function') chunks.destroy();
  // The stream is given up: why it cannot be closed as well changes nothing for the caller.
  iterator.return?.().catch(() => undefined);
}

function asBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (typeof chunk === 'string') return Buffer.from(chunk);
  throw new InvalidInputError('A stream that is attached must give bytes, not objects.');
}
