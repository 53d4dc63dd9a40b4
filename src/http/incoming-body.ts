import type { IncomingMessage } from 'node:http';
import type { BodyReader, HttpRequest } from './http-messages.js';

/** Buffered bytes from which the client has to wait. */
const maxBufferedBytes = 64 * 1024;

/**
 * Reads the body of a Node request. Async iteration would destroy the socket when left early, and with it
 * the refusal of an upload; a Web stream costs more than everything else the adapter does.
 */
export class IncomingBody implements BodyReader {
  readonly #incoming: IncomingMessage;
  readonly #chunks: Uint8Array[] = [];
  #bufferedBytes = 0;
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
        this.#bufferedBytes -= value.byteLength;
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
    this.#bufferedBytes += chunk.byteLength;
    if (this.#bufferedBytes >= maxBufferedBytes) this.#incoming.pause();
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
      // A later socket error must not crash the process.
      .on('error', () => undefined);
    this.#wake?.();
  }
}

/** A body that is already in memory. */
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

/** The body of a request; empty if it has none. */
export const openBody = (request: HttpRequest): BodyReader =>
  request.openBody() ?? bodyOfBytes(new Uint8Array());
