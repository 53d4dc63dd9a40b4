import { type Clock, wallTime } from '../core/clock.js';
import type { Emitter } from '../core/emitter.js';
import type { Conversation } from '../core/turn.js';
import type { ChatEvents, ChatSpan, EndedSpan, SpanOutcome } from './chat-events.js';

/** What a new span is given; the rest is the same for all spans of a call. */
export type SpanDetails<Span extends ChatSpan = ChatSpan> = Span extends ChatSpan
  ? Omit<Span, 'id' | 'parentId' | 'callId' | 'tenant' | 'sessionId' | 'turnId' | 'startedAt'>
  : never;

type Results = Omit<SpanOutcome, 'outcome' | 'durationMs'>;

/** A span that has begun. */
export interface OpenSpan {
  readonly id: string;
  /** Ends it; later calls are ignored. */
  end(outcome: SpanOutcome['outcome'], results?: Results): void;
}

let lastSpan = 0;

const noop = () => undefined;

/** Emits the spans of one call. */
export class Spans {
  readonly #events: Emitter<ChatEvents>;
  readonly #clock: Clock;
  readonly #shared: Conversation & { readonly turnId: string };
  #callId: string | undefined;

  constructor(
    events: Emitter<ChatEvents>,
    clock: Clock,
    { conversation, turnId }: { readonly conversation: Conversation; readonly turnId: string },
  ) {
    this.#events = events;
    this.#clock = clock;
    const { sessionId, tenant } = conversation;
    this.#shared = { tenant, sessionId, turnId };
  }

  /** The first span is that of the call; the others are part of it. */
  start(details: SpanDetails): OpenSpan {
    lastSpan += 1;
    const id = String(lastSpan);
    const parentId = this.#callId;
    this.#callId ??= id;
    if (!this.#events.hasListeners('span-start') && !this.#events.hasListeners('span-end')) {
      return { id, end: noop };
    }
    const beganAt = this.#clock.now();
    const span = {
      ...details,
      ...this.#shared,
      id,
      callId: this.#callId,
      ...(parentId !== undefined && { parentId }),
      startedAt: wallTime(this.#clock),
    } as ChatSpan;
    let hasEnded = false;
    this.#events.emit('span-start', span);
    return {
      id,
      end: (outcome, results) => {
        if (hasEnded) return;
        hasEnded = true;
        const durationMs = this.#clock.now() - beganAt;
        this.#events.emit('span-end', { ...span, ...results, outcome, durationMs } as EndedSpan);
      },
    };
  }

  /** Runs `work` as one span. It is cancelled if `work` throws after `signal` has aborted, else failed. */
  async during<T>(
    details: SpanDetails,
    signal: AbortSignal,
    work: () => Promise<T>,
    results: (value: T) => Results = () => ({}),
  ): Promise<T> {
    const span = this.start(details);
    try {
      const value = await work();
      span.end('ok', results(value));
      return value;
    } catch (error) {
      span.end(signal.aborted ? 'cancelled' : 'failed', { error });
      throw error;
    }
  }
}
