import type { ChatStreamEvent } from '../index.js';

const encoder = new TextEncoder();
const heartbeat = encoder.encode(': heartbeat\n\n');

/** A server-sent event. JSON has no line breaks of its own, so one `data` line is enough. */
const encodeEvent = (event: string, data: object): Uint8Array =>
  encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);

export interface EventStreamOptions {
  readonly heartbeatMs: number;
  /** The name and the data of an event. */
  readonly encode: (event: ChatStreamEvent) => Promise<{ readonly event: string; readonly data: object }>;
  /** The data of the `error` event that ends a stream whose answer failed. */
  readonly describe: (error: unknown) => object;
  /** Stops the answer. */
  readonly abort: () => void;
  /** Runs once when the stream has ended for any reason, before its reader sees the end. */
  readonly finish: () => Promise<void>;
}

/** The events of an answer as server-sent events, produced only as fast as they are read. */
export function eventStream(
  events: AsyncIterable<ChatStreamEvent>,
  { heartbeatMs, encode, describe, abort, finish }: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const iterator = events[Symbol.asyncIterator]();
  let timer: NodeJS.Timeout | undefined;
  let cancelled = false;
  const end = () => {
    clearInterval(timer);
    return finish();
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      timer = setInterval(() => {
        // A reader that has unread events needs no heartbeat.
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(heartbeat);
      }, heartbeatMs);
      timer.unref();
    },
    async pull(controller) {
      let encoded: Uint8Array | undefined;
      let over = false;
      try {
        const { done, value } = await iterator.next();
        over = done === true;
        if (!done) {
          const { event, data } = await encode(value);
          encoded = encodeEvent(event, data);
        }
      } catch (error) {
        over = true;
        if (!cancelled) encoded = encodeEvent('error', describe(error));
      }
      if (over) await end();
      if (cancelled) return;
      if (encoded !== undefined) controller.enqueue(encoded);
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
