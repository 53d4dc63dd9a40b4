/** The part of an undici dispatcher that `fetch` uses. */
export interface Dispatcher {
  dispatch(options: Readonly<Record<string, unknown>>, handler: unknown): boolean;
}

/** Key of the dispatcher of Node's `fetch`, which `setGlobalDispatcher` of undici replaces, by a proxy agent for example. */
const globalDispatcherKey = Symbol.for('undici.globalDispatcher.1');

const findDispatcher = () =>
  (globalThis as unknown as Readonly<Record<symbol, Dispatcher | undefined>>)[globalDispatcherKey];

/** Looks the global dispatcher up at each call: an application may replace it at any time. */
const untimed: Dispatcher = {
  dispatch: (options, handler) =>
    findDispatcher()?.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler) ?? false,
};

/**
 * Options of Node's `fetch` that remove its limits of 300 s for headers and between chunks, which would end a
 * call with a longer limit as a broken connection. Empty on a runtime that keeps its dispatcher elsewhere;
 * its own limits then apply.
 */
export const withUntimedDispatcher = (): RequestInit =>
  (findDispatcher() ? { dispatcher: untimed } : {}) as RequestInit;
