import type { AbortOptions } from '../core/abort.js';
import type { MediaCapabilities, MediaProgress, MediaSource, PreparedMedia } from '../core/media.js';

export interface PrepareOptions extends AbortOptions {
  /** What the attachment may cost, in tokens; a processor shows less of it to stay below. Default: no limit. */
  readonly maxTokens?: number | undefined;
  /** What the model takes. Default: all that the processor can make. */
  readonly accepts?: MediaCapabilities | undefined;
  readonly onProgress?: ((progress: MediaProgress) => void) | undefined;
}

/**
 * Turns anything a person can attach into parts that the model sees well and cheaply.
 *
 * An implementer owes:
 * - the bytes decide what a source is, never its name; nothing a source refers to is read or fetched.
 * - whatever cannot be used is refused with a `MediaError` whose sentence says what to do.
 * - bounded time, memory and disk; an abort stops at once and leaves no process and no file.
 * - any number of concurrent calls.
 *
 * Shipped: `DefaultMediaProcessor`.
 */
export interface MediaProcessor {
  prepare(source: MediaSource, options?: PrepareOptions): Promise<PreparedMedia>;
  close(): Promise<void>;
}
