import type { ChatStreamEvent } from '../index.js';
import { wireEvent } from './wire-reply.js';

const encoder = new TextEncoder();
const heartbeat = encoder.encode(': heartbeat\n\n');

/** A server-sent event. JSON has no line breaks of its own, so one `data` line is enough. */
const encodeEvent = (event: string, data: object): Uint8Array =>
  encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);

export interface EventStreamOptions {
  readonly heartbeatMs: number;
  /** The data of the `error` event that ends a stream whose answer failed. */
  readonly describe: (error: unknown) => object;
  /** Stops whatever makes the parts. */
  readonly abort: () => void;
  /** Runs once when the stream is over, however it ended, before its reader learns of it. */
  readonly finish: () => Promise<void>;
}

/** The parts of an answer as server-sent events, made only as fast as they are read. */
export function eventStream(
  parts: AsyncIterable<ChatStreamEvent>,
  { heartbeatMs, describe, abort, finish }: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const iterator = parts[Symbol.asyncIterator]();
  let timer: NodeJS.Timeout | undefined;
  let cancelled = false;
  const end = () => {
    clearInterval(timer);
    return finish();
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      timer = setInterval(() => {
        // A reader that lags behind needs no sign of life.
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(heartbeat);
      }, heartbeatMs);
      timer.unref();
    },
    async pull(controller) {
      let event: Uint8Array | undefined;
      let over = false;
      try {
        const { done, value } = await iterator.next();
        over = done === true;
        if (!done) {
          const { event: name, data } = wireEvent(value);
          event = encodeEvent(name, data);
        }
      } catch (error) {
        over = true;
        if (!cancelled) event = encodeEvent('error', describe(error));
      }
      if (over) await end();
      if (cancelled) return;
      if (event !== undefined) controller.enqueue(event);
      if (over) controller.close();
    },
    async cancel() {
      cancelled = true;
      abort();
      try {
        await iterator.return?.();
      } finally {
        await end();
      }
    },
  });
}
