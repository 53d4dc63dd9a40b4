interface Dispatcher {
  dispatch(options: Readonly<Record<string, unknown>>, handler: unknown): boolean;
}

/** Where Node keeps the dispatcher of its `fetch`, and `setGlobalDispatcher` of undici puts a proxy agent. */
const globalDispatcherKey = Symbol.for('undici.globalDispatcher.1');

/**
 * Node's own dispatcher without its limits of 300 s for headers and between chunks, which would cut a
 * longer limit of the caller short and are reported as a broken connection.
 */
export const untimedDispatcher: Dispatcher = {
  dispatch(options, handler) {
    // Present from the first `fetch` on, and this is only called from within one.
    const dispatcher = (globalThis as unknown as Record<symbol, Dispatcher>)[globalDispatcherKey];
    if (!dispatcher) throw new Error('This runtime has no undici dispatcher behind its fetch.');
    return dispatcher.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler);
  },
};
