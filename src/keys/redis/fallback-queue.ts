import type { KeyLease } from '../key-pool.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import type { ScheduledKeyPool } from '../scheduler/scheduled-key-pool.js';
import type { Waiter } from '../scheduler/wait-queue.js';

/** The calls that wait for the local share while Redis does not answer. */
export class FallbackQueue {
  readonly #calls = new Map<
    Waiter,
    { readonly modelQueue: ModelQueue; readonly controller: AbortController }
  >();
  readonly #adopt: (waiter: Waiter, lease: KeyLease) => void;

  /** @param adopt Called when a call gets a lease of the local share. */
  constructor(adopt: (waiter: Waiter, lease: KeyLease) => void) {
    this.#adopt = adopt;
  }

  get size(): number {
    return this.#calls.size;
  }

  push(local: ScheduledKeyPool, modelQueue: ModelQueue, waiter: Waiter): void {
    const controller = new AbortController();
    this.#calls.set(waiter, { modelQueue, controller });
    const { request, since } = waiter;
    // The local share leaves time for the answer by itself, so it gets the caller's own deadline.
    const deadline = request.deadline ?? waiter.deadline;
    local.acquire({ ...request, deadline, since }, { signal: controller.signal }).then(
      (lease) => {
        // A lease that arrives together with an abort is given back.
        if (this.#calls.delete(waiter)) this.#adopt(waiter, lease);
        else lease.settle(unused);
      },
      (error: unknown) => {
        if (this.#calls.delete(waiter)) waiter.reject(error);
      },
    );
  }

  /** Drops a call that its caller has aborted. */
  drop(waiter: Waiter): void {
    this.#calls.get(waiter)?.controller.abort();
    this.#calls.delete(waiter);
  }

  /** Removes and returns all waiting calls. */
  drain(): readonly { readonly modelQueue: ModelQueue; readonly waiter: Waiter }[] {
    const waiting = [...this.#calls].map(([waiter, { modelQueue }]) => ({ modelQueue, waiter }));
    for (const { waiter } of waiting) this.drop(waiter);
    return waiting;
  }
}

const unused = {
  ok: false,
  sent: false,
  failure: { kind: 'network', scope: 'call', message: 'The caller left before the call was made.' },
} as const;
