import type { IncomingMessage } from 'node:http';
import type { BodyReader } from './http-messages.js';

/** Chunks held before the client is made to wait. */
const mostWaitingBytes = 64 * 1024;

/**
 * Reads the body of a Node request. Async iteration would do, but leaving it early destroys the socket,
 * and with it the reply that says why the upload was refused; a Web stream over it costs more than all
 * else that the adapter does.
 */
export class IncomingBody implements BodyReader {
  readonly #incoming: IncomingMessage;
  readonly #chunks: Uint8Array[] = [];
  #waitingBytes = 0;
  #isOver = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
    incoming
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('close', this.#onBroken)
      .on('error', this.#onBroken)
      .pause();
  }

  async read(): Promise<{ done: boolean; value?: Uint8Array | undefined }> {
    for (;;) {
      const value = this.#chunks.shift();
      if (value !== undefined) {
        this.#waitingBytes -= value.byteLength;
        return { done: false, value };
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isOver) return { done: true };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#incoming.resume();
      });
    }
  }

  async cancel(): Promise<void> {
    this.#chunks.length = 0;
    this.#finish();
    this.#incoming.resume();
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.byteLength;
    if (this.#waitingBytes >= mostWaitingBytes) this.#incoming.pause();
    this.#wake?.();
  };

  readonly #onEnd = (): void => this.#finish();

  readonly #onBroken = (error?: Error): void => {
    this.#failure = error ?? new DOMException('The client hung up.', 'AbortError');
    this.#finish();
  };

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#incoming
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('close', this.#onBroken)
      .off('error', this.#onBroken)
      // A socket that breaks later must not bring the process down.
      .on('error', () => undefined);
    this.#wake?.();
  }
}

/** A body that a parser of the app has read before. */
export function bodyOfBytes(bytes: Uint8Array): BodyReader {
  let unread: Uint8Array | undefined = bytes;
  return {
    async read() {
      const value = unread;
      unread = undefined;
      return { done: value === undefined, value };
    },
    async cancel() {
      unread = undefined;
    },
  };
}
