/** Accepted by everything that waits. */
export interface AbortOptions {
  /** Aborting it stops the work and rejects with `signal.reason`, untouched. */
  readonly signal?: AbortSignal | undefined;
}

/** Subscribers of one AbortSignal behind a single listener. */
interface Subscription {
  readonly listeners: Set<(reason: unknown) => void>;
  readonly notify: () => void;
}

const subscriptions = new WeakMap<AbortSignal, Subscription>();

const noop = () => undefined;

/**
 * Calls `listener` with the reason when `signal` aborts, synchronously if it has already. Any number of
 * listeners share one event listener, so many calls under one long-lived signal cause no leak warning.
 *
 * @returns Removes the listener.
 */
export function onAbort(signal: AbortSignal | undefined, listener: (reason: unknown) => void): () => void {
  if (signal === undefined) return noop;
  if (signal.aborted) {
    listener(signal.reason);
    return noop;
  }
  const subscription = subscriptions.get(signal) ?? subscribe(signal);
  // A wrapper per call: the same function may be given twice.
  const own = (reason: unknown) => listener(reason);
  subscription.listeners.add(own);
  return () => {
    subscription.listeners.delete(own);
    if (subscription.listeners.size > 0 || subscriptions.get(signal) !== subscription) return;
    signal.removeEventListener('abort', subscription.notify);
    subscriptions.delete(signal);
  };
}

function subscribe(signal: AbortSignal): Subscription {
  const listeners: Subscription['listeners'] = new Set();
  const notify = () => {
    subscriptions.delete(signal);
    for (const listener of listeners) listener(signal.reason);
  };
  const subscription: Subscription = { listeners, notify };
  subscriptions.set(signal, subscription);
  signal.addEventListener('abort', notify, { once: true });
  return subscription;
}

/**
 * Settles like `work`, or rejects with `signal.reason` as soon as the signal aborts. What `work` does
 * afterwards is ignored. The listener is removed in either case: a race against a promise that lives as
 * long as the signal would keep every result alive.
 */
export async function raceAbort<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let unsubscribe = noop as () => void;
  const aborted = new Promise<never>((_, reject) => {
    unsubscribe = onAbort(signal, reject);
  });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    unsubscribe();
  }
}

/** An AbortController that also aborts with another signal. */
export interface LinkedController {
  readonly controller: AbortController;
  readonly signal: AbortSignal;
  /** Stops following the other signal. */
  unlink(): void;
}

/** `AbortSignal.any` on a long-lived signal leaks every derived signal, so this links by hand. */
export function linkedController(signal: AbortSignal | undefined): LinkedController {
  const controller = new AbortController();
  const unlink = onAbort(signal, (reason) => controller.abort(reason));
  return { controller, signal: controller.signal, unlink };
}
