import { type Clock, wallTime } from '../core/clock.js';
import type { Emitter } from '../core/emitter.js';
import { MemoryError } from '../core/errors.js';
import type { ChatEvents } from '../turn/chat-events.js';
import type { ResolvedOptions } from './parse-options.js';

/** How often old turns are deleted. */
const intervalMs = 3_600_000;

interface RetentionOptions {
  readonly clock: Clock;
  readonly maxAgeMs: number;
  /** Forgets what is older than the date. */
  readonly forget: (before: Date) => Promise<unknown>;
  readonly onFailure: (error: unknown) => void;
}

/** Forgets turns once they have reached an age: when it is started, and then once an hour. */
export class Retention {
  readonly #options: RetentionOptions;
  #timer: unknown;
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** Does nothing if it is already running. */
  start(): void {
    if (this.#running === undefined && !this.#isStopped) this.#run();
  }

  /** Resolves once the running deletion has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#options.clock.clearTimeout(this.#timer);
    await this.#running;
  }

  #run(): void {
    const { clock, forget, maxAgeMs, onFailure } = this.#options;
    this.#running = forget(new Date(wallTime(clock) - maxAgeMs)).then(() => undefined, onFailure);
    this.#timer = clock.setTimeout(() => this.#run(), intervalMs, { isBackground: true });
  }
}

/** The retention that the options ask for, if any. What goes wrong is emitted as `failure`. */
export function makeRetention(
  { clock, retention }: ResolvedOptions,
  events: Emitter<ChatEvents>,
  forget: (before: Date) => Promise<unknown>,
): Retention | undefined {
  if (retention === undefined) return undefined;
  const onFailure = (cause: unknown) => {
    const error = MemoryError.isInstance(cause)
      ? cause
      : new MemoryError(`Old turns could not be forgotten: ${cause}. It is tried again in an hour.`, {
          cause,
        });
    events.emit('failure', { error });
  };
  return new Retention({ clock, maxAgeMs: retention.maxAgeMs, forget, onFailure });
}
