export type {
  ChatRequest,
  MultimodalChatOptions,
  ResumeRequest,
  SummaryOptions,
} from './chat/chat-options.js';
export { ChatSession, type SessionRequest } from './chat/chat-session.js';
export type { ChatStats, SummaryStats } from './chat/chat-stats.js';
export { ChatStream } from './chat/chat-stream.js';
export type { HistoryMessage } from './chat/history-messages.js';
export type { MemoryHealth } from './chat/memory-health.js';
export { MultimodalChat } from './chat/multimodal-chat.js';
export type { ForgetRequest, SessionsRequest, TurnRange } from './chat/parse-target.js';
export type { ImportOptions } from './chat/transcript-transfer.js';
export type { AbortOptions } from './core/abort.js';
export type { Clock } from './core/clock.js';
export { systemClock } from './core/clock.js';
export type { ConversationName } from './core/conversation.js';
export type { MediaErrorReason } from './core/errors.js';
export {
  BlockedError,
  ClosedError,
  ConfigurationError,
  IncompleteReplyError,
  InvalidInputError,
  KeyPoolExhaustedError,
  MediaError,
  MemoryError,
  ModelCallError,
  MultimodalChatError,
  OutputError,
  TimeoutError,
} from './core/errors.js';
export {
  type Attempt,
  type Failure,
  type FailureKind,
  type FailureScope,
  isRoutedByPool,
} from './core/failure.js';
export type * from './core/media.js';
export type * from './core/message.js';
export type { AnySchema, SchemaOutput } from './core/schema.js';
export type * from './core/tool.js';
export type * from './core/turn.js';
export { toTurn } from './core/turn.js';
export type { TurnMedia } from './core/turn-media.js';
export type * from './core/usage.js';
export type {
  KeyEvent,
  KeyLease,
  KeyPool,
  KeyPoolStats,
  KeyProbe,
  KeyStats,
  LeaseOutcome,
  LeaseRequest,
  LimitStats,
  WindowStats,
} from './keys/key-pool.js';
export type { KeySpec } from './keys/key-spec.js';
export { keysFromEnv } from './keys/keys-from-env.js';
export type { LimitRule, QuotaLimits } from './keys/limit-rules.js';
export { ScheduledKeyPool } from './keys/scheduler/scheduled-key-pool.js';
export type { ScheduledKeyPoolOptions } from './keys/scheduler/scheduled-key-pool-options.js';
export { DefaultMediaProcessor } from './media/default-media-processor.js';
export type { MediaOptions } from './media/media-options.js';
export type { MediaProcessor, PrepareOptions } from './media/media-processor.js';
export { DiskMediaArchive } from './memory/archive/disk-media-archive.js';
export { InProcessMediaArchive } from './memory/archive/in-process-media-archive.js';
export type {
  DiskMediaArchiveOptions,
  InProcessMediaArchiveOptions,
} from './memory/archive/media-archive-options.js';
export { EmbeddedMemoryStore } from './memory/embedded/embedded-memory-store.js';
export type { EmbeddedMemoryStoreOptions } from './memory/embedded/embedded-memory-store-options.js';
export type { Embedder } from './memory/embedder.js';
export type {
  ArchivedMedia,
  ArchiveForgetTarget,
  MediaArchive,
  MediaArchiveStats,
} from './memory/media-archive.js';
export type {
  AppendOptions,
  ConversationSummaries,
  ConversationSummary,
  ForgetTarget,
  MemoryStats,
  MemoryStore,
  ReindexOptions,
  ReindexProgress,
  SessionPage,
  StoredSession,
} from './memory/memory-store.js';
export type { OutboxOptions } from './memory/outbox/outbox-options.js';
export { withOutbox } from './memory/outbox/with-outbox.js';
export type {
  AnswerEvent,
  BuiltInTools,
  ChatModel,
  DataPart,
  GeneratedFile,
  GenerationOptions,
  Modality,
  ModelCapabilities,
  ModelEvent,
  ModelMessage,
  ModelName,
  ModelNames,
  ModelPart,
  ModelRequest,
  ModelStreamOptions,
  ProviderOptions,
  ThinkingLevel,
  ToolResultWithMedia,
  UploadPart,
  UriPart,
} from './model/chat-model.js';
export { GeminiEmbedder } from './model/gemini/gemini-embedder.js';
export type { GeminiEmbedderOptions } from './model/gemini/gemini-embedder-options.js';
export type { GeminiEndpointOptions } from './model/gemini/gemini-endpoint.js';
export { GeminiModel } from './model/gemini/gemini-model.js';
export type { GeminiModelOptions } from './model/gemini/gemini-model-options.js';
export { BackoffRetryPolicy } from './retry/backoff-retry-policy.js';
export type { BackoffRetryPolicyOptions } from './retry/backoff-retry-policy-options.js';
export type { RetryContext, RetryDecision, RetryPolicy } from './retry/retry-policy.js';
export { type ToolDefinition, tool } from './tools/tool.js';
export type * from './turn/chat-events.js';
export type * from './turn/reply.js';
