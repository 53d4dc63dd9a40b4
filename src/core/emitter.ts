import { EventEmitter } from 'eventemitter3';

type Listener = (...payload: never[]) => void;

/**
 * Typed events whose listeners cannot break the work that emits them: what a listener throws is
 * reported as a process warning.
 */
export class Emitter<Events extends object> {
  readonly #events = new EventEmitter();
  readonly #guarded = new WeakMap<Listener, (...payload: unknown[]) => void>();

  on<Name extends keyof Events & string>(name: Name, listener: Events[Name] & Listener): void {
    this.#events.on(name, this.#guard(listener));
  }

  once<Name extends keyof Events & string>(name: Name, listener: Events[Name] & Listener): void {
    this.#events.once(name, this.#guard(listener));
  }

  off<Name extends keyof Events & string>(name: Name, listener: Events[Name] & Listener): void {
    this.#events.off(name, this.#guard(listener));
  }

  emit<Name extends keyof Events & string>(
    name: Name,
    ...payload: Events[Name] extends (...parameters: infer Payload) => void ? Payload : never
  ): void {
    this.#events.emit(name, ...payload);
  }

  /** Whether an event would reach anybody, to skip building what it carries. */
  hasListeners(name: keyof Events & string): boolean {
    return this.#events.listenerCount(name) > 0;
  }

  #guard(listener: Listener): (...payload: unknown[]) => void {
    let guarded = this.#guarded.get(listener);
    if (guarded === undefined) {
      guarded = (...payload) => {
        try {
          (listener as (...values: unknown[]) => void)(...payload);
        } catch (error) {
          process.emitWarning(error instanceof Error ? error : String(error));
        }
      };
      this.#guarded.set(listener, guarded);
    }
    return guarded;
  }
}
