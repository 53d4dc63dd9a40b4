/**
 * One duty of an implementation. A contract suite is a function that returns cases, so that it runs under
 * any test framework.
 *
 * @example
 * ```ts
 * describe('MyMemoryStore', () => {
 *   for (const { name, run } of memoryStoreContract(createMyStore)) it(name, run);
 * });
 * ```
 */
export interface ContractCase {
  /** A sentence of behavior. */
  readonly name: string;
  /** Rejects with an `AssertionError` if the implementation behaves differently. */
  run(): Promise<void>;
}
