import { onAbort } from '../../core/abort.js';
import type { MediaProgress } from '../../core/media.js';

type Listener = (stage: MediaProgress['stage'], done?: number) => void;

interface Entry<T> {
  readonly work: Promise<T>;
  readonly controller: AbortController;
  readonly listeners: Set<Listener>;
  callers: number;
}

/**
 * Lets callers that want the same thing at the same time share one piece of work. It goes on while any of
 * them waits, and is aborted when the last has left.
 */
export class SharedWork<T> {
  readonly #entries = new Map<string, Entry<T>>();

  /**
   * Joins the work that is known as `key`, or starts it.
   *
   * @throws `signal.reason` on abort: at once while others go on waiting, otherwise once the work has
   * ended.
   */
  run(
    key: string,
    signal: AbortSignal,
    listener: Listener,
    start: (signal: AbortSignal, report: Listener) => Promise<T>,
  ): Promise<T> {
    const entry = this.#entries.get(key) ?? this.#begin(key, listener, start);
    entry.callers += 1;
    entry.listeners.add(listener);
    return new Promise((resolve, reject) => {
      const unsubscribe = onAbort(signal, (reason) => {
        entry.callers -= 1;
        entry.listeners.delete(listener);
        if (entry.callers > 0) return reject(reason);
        // Later callers start new work; the promise below rejects with the reason once this has ended.
        this.#forget(key, entry);
        entry.controller.abort(reason);
      });
      entry.work.then(resolve, reject).finally(unsubscribe);
    });
  }

  #begin(
    key: string,
    first: Listener,
    start: (signal: AbortSignal, report: Listener) => Promise<T>,
  ): Entry<T> {
    const controller = new AbortController();
    // The first listener is added before the work begins, so that it gets the first report.
    const listeners = new Set([first]);
    const work = start(controller.signal, (stage, done) => {
      for (const listener of listeners) listener(stage, done);
    });
    const entry: Entry<T> = { work, controller, listeners, callers: 0 };
    this.#entries.set(key, entry);
    const forget = () => this.#forget(key, entry);
    work.then(forget, forget);
    return entry;
  }

  #forget(key: string, entry: Entry<T>): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
  }
}
