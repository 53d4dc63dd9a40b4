import { type LinkedController, linkedController } from '../../core/abort.js';
import { withoutBytesInJson } from '../../core/bytes-in-json.js';
import { type Clock, wallTime } from '../../core/clock.js';
import { BlockedError, ModelCallError } from '../../core/errors.js';
import { type Attempt, type Failure, isUnreachable } from '../../core/failure.js';
import type { KeyLease, LeaseOutcome } from '../../keys/key-pool.js';
import type { GeneratedFile, ModelEvent, ModelRequest } from '../../model/chat-model.js';
import type { ModelRoute } from '../model-routes.js';
import type { OpenSpan } from '../spans.js';

/** Reasons of failures that happened before anything was sent, so that no quota was spent. */
const unsentReasons: ReadonlySet<string> = new Set([
  'API_KEY_UNUSABLE',
  'PROXY_AUTHENTICATION',
  'REQUEST_REFUSED',
]);

/** Of an attempt that ended because the one beside it answered first. */
export const hedgedReason = 'HEDGED';

const abandoned: Failure = {
  kind: 'incomplete',
  scope: 'call',
  message: 'The caller stopped reading the answer.',
};
const unfinished: Failure = {
  kind: 'incomplete',
  scope: 'call',
  message: 'The answer ended without a finish reason.',
};

export type Finish = Extract<ModelEvent, { type: 'finish' }>;

/** A lease, or nothing to settle for a model that needs no key. */
export interface AttemptLease {
  readonly key?: KeyLease['key'] | undefined;
  settle(outcome: LeaseOutcome): void;
}

export interface ModelAttemptStart {
  readonly route: ModelRoute;
  readonly lease: AttemptLease;
  readonly request: ModelRequest;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Whether it runs beside an attempt that is late. */
  readonly isHedge: boolean;
  readonly span: OpenSpan;
  /** Whether the lease is kept after this failure, for another call: see `takeLease`. Default: never. */
  readonly keepsLease?: ((failure: Failure) => boolean) | undefined;
}

/** One call to the model on one lease: what it has said, and how it ended. The lease is settled when it ends. */
export class ModelAttempt {
  readonly lease: AttemptLease;
  readonly provider: string;
  readonly model: string;
  readonly isHedge: boolean;
  text = '';
  thoughts = '';
  readonly files: GeneratedFile[] = [];
  /** Whether it has given anything that is shown as part of the answer; thoughts are not. */
  hasAnswered = false;
  /** Whether that is text alone. */
  hasOnlyText = true;
  /** What went wrong, once something has. */
  failure: Failure | undefined;
  readonly #clock: Clock;
  readonly #span: OpenSpan;
  readonly #keepsLease: ModelAttemptStart['keepsLease'];
  /** Of a lease that is kept. */
  #outcome: LeaseOutcome | undefined;
  readonly #startedAt: number;
  /** `#startedAt` as a date. */
  readonly #askedAt: number;
  readonly #link: LinkedController;
  readonly #events: AsyncIterator<ModelEvent>;
  #first: Promise<IteratorResult<ModelEvent>> | undefined;
  #hasBegun = false;
  #endedAt: number | undefined;

  constructor({ clock, isHedge, keepsLease, lease, request, route, signal, span }: ModelAttemptStart) {
    this.lease = lease;
    this.#keepsLease = keepsLease;
    this.provider = route.model.provider;
    this.model = route.name;
    this.isHedge = isHedge;
    this.#clock = clock;
    this.#span = span;
    this.#startedAt = clock.now();
    this.#askedAt = wallTime(clock);
    this.#link = linkedController(signal);
    const options = {
      signal: this.#link.signal,
      ...(lease.key && { apiKey: lease.key.value, project: lease.key.project }),
    };
    this.#events = openStream(() => route.model.stream(request, options));
  }

  /** What the reply says about this call. */
  get attempt(): Attempt {
    return {
      model: this.model,
      ...(this.lease.key && { keyId: this.lease.key.id }),
      startedAt: this.#askedAt,
      durationMs: (this.#endedAt ?? this.#clock.now()) - this.#startedAt,
      ...(this.isHedge && { isHedge: true }),
      ...(this.failure && { failure: this.failure }),
    };
  }

  /** Whether something has been said, or the call has ended. */
  get hasBegun(): boolean {
    return this.#hasBegun || this.#endedAt !== undefined;
  }

  /** Resolves when the first event is there; `next` gives it. */
  begin(): Promise<IteratorResult<ModelEvent>> {
    this.#first ??= this.#read();
    return this.#first;
  }

  /**
   * The next event; `finish` is the last.
   *
   * @throws What the model threw; `failure` says what it means.
   */
  async next(): Promise<ModelEvent> {
    const first = this.#first;
    this.#first = undefined;
    const { done, value } = await (first ?? this.#read());
    if (done) {
      this.end(unfinished);
      throw new ModelCallError(unfinished);
    }
    const event = value.type === 'file' ? { ...value, file: withoutBytesInJson(value.file) } : value;
    if (event.type === 'thought') this.thoughts += event.text;
    else if (event.type === 'finish') {
      const { finishReason, usage } = event;
      this.#close();
      this.lease.settle({ ok: true, usage });
      this.#span.end('ok', { finishReason, usage });
      await this.#events.return?.();
    } else {
      this.hasAnswered = true;
      if (event.type === 'text') this.text += event.text;
      else this.hasOnlyText = false;
      if (event.type === 'file') this.files.push(event.file);
    }
    return event;
  }

  /** Ends the call, unless it has ended: nothing more is read, and the lease is settled with `failure`. */
  end(reason: Failure = abandoned): void {
    if (this.#endedAt !== undefined) return;
    const failure = this.#hasBegun
      ? { ...reason, brokeOffAt: this.text.length + this.thoughts.length }
      : reason;
    this.failure = failure;
    this.#close();
    const sent = !isUnreachable(failure) && !unsentReasons.has(failure.reason ?? '');
    this.#outcome = { ok: false, failure, sent };
    if (!this.#keepsLease?.(failure)) this.settle();
    const isCancelled = reason === abandoned || reason.reason === hedgedReason;
    this.#span.end(isCancelled ? 'cancelled' : 'failed', { failure });
    this.#link.controller.abort();
    // The iterator may still be waiting for the abort; its outcome is no longer of interest.
    const ignore = () => undefined;
    this.#first?.catch(ignore);
    this.#events.return?.().catch(ignore);
  }

  /** Settles the lease if it was kept. */
  settle(): void {
    if (this.#outcome !== undefined) this.lease.settle(this.#outcome);
    this.#outcome = undefined;
  }

  /** Hands on a lease that was kept; undefined if it is settled. */
  takeLease(): AttemptLease | undefined {
    if (this.#outcome === undefined) return undefined;
    this.#outcome = undefined;
    return this.lease;
  }

  async #read(): Promise<IteratorResult<ModelEvent>> {
    try {
      const result = await this.#events.next();
      this.#hasBegun = true;
      return result;
    } catch (error) {
      this.end(this.#link.signal.aborted ? abandoned : failureOf(error));
      throw error;
    }
  }

  #close(): void {
    this.#endedAt = this.#clock.now();
    this.#link.unlink();
  }
}

/** A model that throws before it streams fails like one that throws while it does. */
function openStream(stream: () => AsyncIterable<ModelEvent>): AsyncIterator<ModelEvent> {
  try {
    return stream()[Symbol.asyncIterator]();
  } catch (error) {
    return { next: () => Promise.reject(error) };
  }
}

/** A fault of any origin as a `Failure`. What no `ChatModel` should throw counts as an internal fault. */
function failureOf(error: unknown): Failure {
  if (ModelCallError.isInstance(error)) return error.failure;
  if (BlockedError.isInstance(error)) {
    return { kind: 'blocked', scope: 'call', message: error.message, reason: error.reason, cause: error };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'internal', scope: 'call', message: `The model adapter failed: ${message}`, cause: error };
}
