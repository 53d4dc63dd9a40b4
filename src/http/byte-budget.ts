import { HttpError } from './http-error.js';

/** Not counted, so that a short question is never refused because of the bodies of others. */
const freeBytes = 16 * 1024;
const retryAfterMs = 5_000;

/** Bytes that all requests together may hold. */
export class ByteBudget {
  readonly #max: number;
  #held = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** The share of one request, to be released. */
  open(): ByteShare {
    let counted = 0;
    const set = (bytes: number) => {
      this.#held += bytes - counted;
      counted = bytes;
    };
    return {
      hold: (bytes) => {
        const wanted = Math.max(0, bytes - freeBytes);
        if (wanted > counted && this.#held + wanted - counted > this.#max) throw tooBusy();
        set(wanted);
      },
      release: () => set(0),
    };
  }
}

export interface ByteShare {
  /**
   * Sets what the request holds.
   *
   * @throws HttpError 503 if all requests together would hold too much.
   */
  hold(bytes: number): void;
  release(): void;
}

const tooBusy = () =>
  new HttpError(
    503,
    'TOO_MANY_UPLOADS',
    'The service is receiving as many bytes as it can hold. Try again in a moment.',
    { retryAfterMs },
  );
