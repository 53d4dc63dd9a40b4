/** What helps to test an app or an own part: the Gemini emulator, fakes and contract suites. */
export type { ContractCase } from './testing/contracts/contract-case.js';
export {
  type MemoryStoreContractOptions,
  makeTurn,
  memoryStoreContract,
} from './testing/contracts/memory-store-contract.js';
