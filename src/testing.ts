/** What helps to test an app or an own part: the Gemini emulator, fakes and contract suites. */
export type { ContractCase } from './testing/contracts/contract-case.js';
export {
  type FaultName,
  faultNames,
  type Injection,
  type RawReply,
} from './testing/gemini-emulator/faults.js';
export { GeminiEmulator, startGeminiEmulator } from './testing/gemini-emulator/gemini-emulator.js';
export type {
  EmulatedLimits,
  EmulatedProject,
  GeminiEmulatorOptions,
} from './testing/gemini-emulator/options.js';
export type { QuotaWindow } from './testing/gemini-emulator/quota-window.js';
export type {
  GeminiOperation,
  RecordedCall,
  RecordedImage,
} from './testing/gemini-emulator/recorded-call.js';
export type { WireErrorBody } from './testing/gemini-emulator/wire.js';
export { embedByHashing } from './testing/hashed-embedding.js';
