import { type Clock, wallAheadMs } from '../core/clock.js';
import { Emitter } from '../core/emitter.js';
import type { KeyEvent } from './key-pool.js';

/** The events of one key pool. A listener that throws becomes a process warning. */
export class KeyEvents extends Emitter<{ key: (event: KeyEvent) => void }> {
  readonly #clock: Clock;

  /** @param clock Of the pool, in whose time `report` is told. */
  constructor(clock: Clock) {
    super();
    this.#clock = clock;
  }

  report(event: KeyEvent): void {
    const { until } = event;
    this.emit('key', until === undefined ? event : { ...event, until: until + wallAheadMs(this.#clock) });
  }

  /** Returns the function that unsubscribes. */
  subscribe(listener: (event: KeyEvent) => void): () => void {
    // The emitter removes all subscriptions of one function, so each gets a function of its own.
    const own = (event: KeyEvent) => listener(event);
    this.on('key', own);
    return () => this.off('key', own);
  }
}
