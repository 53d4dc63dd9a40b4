/** What `fetch` sends with. */
export interface Dispatcher {
  dispatch(options: Readonly<Record<string, unknown>>, handler: unknown): boolean;
}

/** Where Node keeps the dispatcher of its `fetch`, and `setGlobalDispatcher` of undici puts a proxy agent. */
const globalDispatcherKey = Symbol.for('undici.globalDispatcher.1');

const findDispatcher = () =>
  (globalThis as unknown as Readonly<Record<symbol, Dispatcher | undefined>>)[globalDispatcherKey];

/** Looks the global dispatcher up at each call, because an application may set another at any time. */
const untimed: Dispatcher = {
  dispatch: (options, handler) =>
    findDispatcher()?.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler) ?? false,
};

/**
 * The dispatcher of Node's `fetch` without its limits of 300 s for headers and between chunks, which
 * would cut a longer limit of the caller short and look like a broken connection. `undefined` on a
 * runtime that keeps its dispatcher elsewhere; its own limits then apply.
 */
export const untimedDispatcher = (): Dispatcher | undefined => (findDispatcher() ? untimed : undefined);
