/**
 * One thing that an implementation must do. A contract suite is a function that returns cases, so that
 * it runs under any test framework.
 *
 * @example
 * ```ts
 * describe('MyMemoryStore', () => {
 *   for (const { name, run } of memoryStoreContract(createMyStore)) it(name, run);
 * });
 * ```
 */
export interface ContractCase {
  /** A sentence of behaviour. */
  readonly name: string;
  /** Rejects with an `AssertionError` when the implementation does something else. */
  run(): Promise<void>;
}
