import { Emitter } from '../core/emitter.js';
import type { KeyEvent } from './key-pool.js';

/** The events of one key pool. A listener that throws becomes a process warning. */
export class KeyEvents extends Emitter<{ key: (event: KeyEvent) => void }> {
  /** Returns the function that unsubscribes. */
  subscribe(listener: (event: KeyEvent) => void): () => void {
    // The emitter removes all subscriptions of one function, so each gets a function of its own.
    const own = (event: KeyEvent) => listener(event);
    this.on('key', own);
    return () => this.off('key', own);
  }
}
