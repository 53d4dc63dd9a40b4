import type { KeyEvent } from './key-pool.js';

/** Tells listeners what happened to keys. A listener that throws becomes a process warning. */
export class KeyEvents {
  readonly #listeners = new Set<(event: KeyEvent) => void>();

  subscribe(listener: (event: KeyEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  emit(event: KeyEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }
}
