import { HttpError } from './http-error.js';
import type { BodyReader } from './http-messages.js';

export interface BodyTime {
  readonly timeoutMs: number;
  /** Extends the time by what arrives. Default: no extension. */
  readonly minBytesPerSecond?: number | undefined;
}

/** A body that fails with 408 if the client takes too long to send it. */
export function timedBody(body: BodyReader, { timeoutMs, minBytesPerSecond }: BodyTime): BodyReader {
  const startedAt = performance.now();
  let received = 0;
  let failure: HttpError | undefined;
  let timer: NodeJS.Timeout | undefined;
  const arm = (ms: number) => {
    timer = setTimeout(onTime, ms);
    timer.unref();
  };
  const onTime = () => {
    const allowedMs = timeoutMs + (minBytesPerSecond ? (received / minBytesPerSecond) * 1000 : 0);
    const leftMs = allowedMs - (performance.now() - startedAt);
    if (leftMs > 0) return arm(leftMs);
    failure = new HttpError(
      408,
      'BODY_TOO_SLOW',
      'The body did not arrive in time. Send it over a faster connection, or files as multipart/form-data.',
    );
    // The pending read ends, and reports the failure.
    body.cancel(failure).catch(() => undefined);
  };
  arm(timeoutMs);
  return {
    async read() {
      try {
        const result = await body.read();
        if (failure) throw failure;
        received += result.value?.byteLength ?? 0;
        if (result.done) clearTimeout(timer);
        return result;
      } catch (error) {
        clearTimeout(timer);
        throw failure ?? error;
      }
    },
    cancel(reason) {
      clearTimeout(timer);
      return body.cancel(reason);
    },
  };
}
