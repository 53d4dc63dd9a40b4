/** What helps to test an app or an own part: the Gemini emulator, fakes and contract suites. */
export type {
  ChatModelFixture,
  ChatModelScenario,
  ExtraScenario,
} from './testing/contracts/chat-model/fixture.js';
export { chatModelContract } from './testing/contracts/chat-model-contract.js';
export type { ContractCase } from './testing/contracts/contract-case.js';
export { embedderContract } from './testing/contracts/embedder-contract.js';
export { geminiModelFixture } from './testing/contracts/gemini-model-fixture.js';
export { type KeyPoolSetup, keyPoolContract } from './testing/contracts/key-pool-contract.js';
export { mediaArchiveContract } from './testing/contracts/media-archive-contract.js';
export { mediaProcessorContract } from './testing/contracts/media-processor-contract.js';
export {
  type MemoryStoreContractOptions,
  memoryStoreContract,
} from './testing/contracts/memory-store-contract.js';
export { retryPolicyContract } from './testing/contracts/retry-policy-contract.js';
export {
  type FakeAnswer,
  FakeChatModel,
  type FakeChatModelOptions,
  type FakeCode,
  type FakeFile,
  type FakeModelCall,
} from './testing/fake-chat-model.js';
export { FakeEmbedder } from './testing/fake-embedder.js';
export { FakeKeyPool, type FakeLease } from './testing/fake-key-pool.js';
export { FakeMediaProcessor } from './testing/fake-media-processor.js';
export {
  callPart,
  codeParts,
  type EmulatedSource,
  groundingOf,
  picturePart,
  tonePart,
} from './testing/gemini-emulator/answer/answer-parts.js';
export type {
  AnswerContent,
  EmulatedAnswer,
  ScriptedAnswer,
} from './testing/gemini-emulator/answer/emulated-answer.js';
export { embedByHashing } from './testing/gemini-emulator/embed/hashed-embedding.js';
export {
  type FaultName,
  type FaultRates,
  faultNames,
  type Injection,
  type RawReply,
  type UploadFaultName,
  uploadFaultNames,
} from './testing/gemini-emulator/faults/faults.js';
export { GeminiEmulator, startGeminiEmulator } from './testing/gemini-emulator/gemini-emulator.js';
export type { CallCount, CallFilter } from './testing/gemini-emulator/journal/expect-calls.js';
export type {
  GeminiOperation,
  RecordedCall,
  RecordedImage,
} from './testing/gemini-emulator/journal/recorded-call.js';
export type { GeminiEmulatorOptions } from './testing/gemini-emulator/options.js';
export type { EmulatedLimits, EmulatedProject } from './testing/gemini-emulator/quota/emulated-project.js';
export type { QuotaWindow } from './testing/gemini-emulator/quota/quota-window.js';
export type {
  WireCandidate,
  WireContent,
  WireErrorBody,
  WireFunctionCall,
  WirePart,
  WireSafetyRating,
  WireTokenCount,
  WireUsage,
} from './testing/gemini-emulator/wire/messages.js';
export type {
  WireCitation,
  WireCitationMetadata,
  WireGroundingChunk,
  WireGroundingMetadata,
  WireSegment,
  WireUrlContextMetadata,
} from './testing/gemini-emulator/wire/metadata.js';
export { InMemoryStore } from './testing/in-memory-store.js';
export { makeFailure } from './testing/make-failure.js';
export { VirtualClock } from './testing/virtual-clock.js';
