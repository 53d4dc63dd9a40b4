import { describeError } from './describe-error.js';
import type { Attempt, Failure } from './failure.js';

const marker = Symbol.for('multimodal-chat.error');

/**
 * The base of every error that this package throws. `isInstance` works across two copies of the
 * package, where `instanceof` does not.
 */
export abstract class MultimodalChatError extends Error {
  /** Stable, machine-readable, such as `MEDIA_CORRUPT`. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    Object.defineProperty(this, marker, { value: true });
  }

  /** How Node prints the error: on one screen, each cause in one line. Of an uncaught one it prints the properties. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return describeError(this);
  }

  static isInstance(value: unknown): value is MultimodalChatError {
    return typeof value === 'object' && value !== null && marker in value;
  }
}

/** Node prints every enumerable property of an uncaught error, which for forty attempts fills many screens. */
function hide(error: Error, properties: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(properties)) Object.defineProperty(error, name, { value });
}

/** `isInstance` of a concrete class, by its literal name. */
const named =
  <T extends MultimodalChatError>(name: T['name']) =>
  (value: unknown): value is T =>
    MultimodalChatError.isInstance(value) && value.name === name;

/** The setup is wrong: an option, an environment variable, a missing key. */
export class ConfigurationError extends MultimodalChatError {
  override readonly name = 'ConfigurationError' as const;
  static override readonly isInstance = named<ConfigurationError>('ConfigurationError');

  constructor(message: string, options?: { cause?: unknown }) {
    super('CONFIGURATION', message, options);
  }
}

/** The prompt, the session or an option of one call is not valid. */
export class InvalidInputError extends MultimodalChatError {
  override readonly name = 'InvalidInputError' as const;
  static override readonly isInstance = named<InvalidInputError>('InvalidInputError');

  constructor(message: string, options?: { cause?: unknown }) {
    super('INVALID_INPUT', message, options);
  }
}

export type MediaErrorReason =
  | 'unsupported'
  | 'corrupt'
  | 'empty'
  | 'too-large'
  | 'not-found'
  | 'not-allowed'
  | 'timeout'
  | 'unavailable';

/**
 * An attachment could not be used. `code` is `MEDIA_` and the reason: `unsupported` (the format is
 * not supported), `corrupt`, `empty`, `too-large` (bytes, pixels, duration), `not-found`,
 * `not-allowed` (a remote URL, or a manifest that points elsewhere), `timeout`, `unavailable` (a tool
 * such as ffmpeg is missing).
 */
export class MediaError extends MultimodalChatError {
  override readonly name = 'MediaError' as const;
  static override readonly isInstance = named<MediaError>('MediaError');
  readonly reason: MediaErrorReason;

  constructor(reason: MediaErrorReason, message: string, options?: { cause?: unknown }) {
    super(`MEDIA_${reason.toUpperCase().replaceAll('-', '_')}`, message, options);
    this.reason = reason;
  }
}

/** No key can serve the call in time. */
export class KeyPoolExhaustedError extends MultimodalChatError {
  override readonly name = 'KeyPoolExhaustedError' as const;
  static override readonly isInstance = named<KeyPoolExhaustedError>('KeyPoolExhaustedError');
  /** Milliseconds until a call is likely to be served; absent if waiting does not help. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options?: { retryAfterMs?: number | undefined; cause?: unknown }) {
    super('KEY_POOL_EXHAUSTED', message, options);
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** The provider failed the call, and no retry or fallback is left. */
export class ModelCallError extends MultimodalChatError {
  override readonly name = 'ModelCallError' as const;
  static override readonly isInstance = named<ModelCallError>('ModelCallError');
  /** Not enumerable. */
  declare readonly failure: Failure;
  /** Every attempt that was made; empty when thrown by a `ChatModel`, which makes only one. Not enumerable. */
  declare readonly attempts: readonly Attempt[];

  constructor(failure: Failure, attempts: readonly Attempt[] = [], options?: { cause?: unknown }) {
    super(`MODEL_${failure.kind.toUpperCase().replaceAll('-', '_')}`, failure.message, {
      cause: options?.cause ?? failure.cause,
    });
    hide(this, { failure, attempts });
  }
}

/** The model or its safety system refused the prompt or stopped its own answer. Retrying does not help. */
export class BlockedError extends MultimodalChatError {
  override readonly name = 'BlockedError' as const;
  static override readonly isInstance = named<BlockedError>('BlockedError');
  /** As the provider names it, such as `SAFETY` or `RECITATION`. */
  readonly reason: string;
  /** Text received before the block; often empty. */
  readonly partial: string;

  constructor(reason: string, message: string, options?: { partial?: string; cause?: unknown }) {
    super('BLOCKED', message, options);
    this.reason = reason;
    this.partial = options?.partial ?? '';
  }
}

/** The answer broke off after part of it was shown, and no restart was allowed or possible. */
export class IncompleteReplyError extends MultimodalChatError {
  override readonly name = 'IncompleteReplyError' as const;
  static override readonly isInstance = named<IncompleteReplyError>('IncompleteReplyError');
  readonly partial: string;
  /** Not enumerable. */
  declare readonly failure: Failure;
  /** Not enumerable. */
  declare readonly attempts: readonly Attempt[];

  constructor(partial: string, failure: Failure, attempts: readonly Attempt[]) {
    super('INCOMPLETE_REPLY', `The answer broke off: ${failure.message}`, { cause: failure.cause });
    this.partial = partial;
    hide(this, { failure, attempts });
  }
}

/** The answer is not what `output` asks for, also after it was asked for again. */
export class OutputError extends MultimodalChatError {
  override readonly name = 'OutputError' as const;
  static override readonly isInstance = named<OutputError>('OutputError');
  /** The answer as it is. Not enumerable. */
  declare readonly text: string;
  /** What is wrong with it. Not enumerable. */
  declare readonly issues: string;

  constructor(message: string, { issues, text }: { issues: string; text: string }) {
    super('OUTPUT', message);
    hide(this, { text, issues });
  }
}

/** Memory could not be read or written. */
export class MemoryError extends MultimodalChatError {
  override readonly name = 'MemoryError' as const;
  static override readonly isInstance = named<MemoryError>('MemoryError');

  constructor(message: string, options?: { cause?: unknown }) {
    super('MEMORY', message, options);
  }
}

/** The call as a whole took longer than its timeout. */
export class TimeoutError extends MultimodalChatError {
  override readonly name = 'TimeoutError' as const;
  static override readonly isInstance = named<TimeoutError>('TimeoutError');
  readonly timeoutMs: number;

  constructor(message: string, timeoutMs: number, options?: { cause?: unknown }) {
    super('TIMEOUT', message, options);
    this.timeoutMs = timeoutMs;
  }
}

/** A part was used after its `close()`. */
export class ClosedError extends MultimodalChatError {
  override readonly name = 'ClosedError' as const;
  static override readonly isInstance = named<ClosedError>('ClosedError');

  /** @param part What was closed, for the message: `chat`, `key pool`, `memory store`. */
  constructor(part: string, options?: { cause?: unknown }) {
    super('CLOSED', `This ${part} is closed. Create a new one, or close it later.`, options);
  }
}
