import type { AbortOptions } from '../core/abort.js';
import type { MediaCapabilities, MediaProgress, MediaSource, PreparedMedia } from '../core/media.js';

/** How one attachment is to be prepared. */
export interface PrepareOptions extends AbortOptions {
  /** Most tokens that the attachment may cost. A processor shows less of it to stay below. Default: no limit. */
  readonly maxTokens?: number | undefined;
  /** What the model takes. Default: everything that the processor can make. */
  readonly accepts?: MediaCapabilities | undefined;
  /**
   * The request that the attachment belongs to: the same object for each of its attachments, so that limits can
   * hold for all of them together. Default: a request of its own.
   */
  readonly request?: object | undefined;
  /** Called with each step of the preparation. The last stage is `ready`. */
  readonly onProgress?: ((progress: MediaProgress) => void) | undefined;
}

/**
 * A MediaProcessor turns an attachment into parts that a model takes, sees well and cheaply. It is called
 * once for each attachment of a prompt, before a key is leased.
 *
 * An implementer owes:
 * - the bytes decide what a source is, never its name or claimed type; nothing that a source refers to is
 *   read or fetched.
 * - a source that cannot be used, or that the model cannot take in any form, is refused with a `MediaError`
 *   whose sentence says what to do. Sound may be left out instead, with a `note`.
 * - with `accepts`, only parts of the types that it lists (text documents stay text), and `detail` only if
 *   `accepts.detail` is true.
 * - `onProgress` fractions that never decrease.
 * - bounded time, memory and disk. An abort rejects with `signal.reason` and leaves no process and no file.
 * - any number of concurrent calls.
 * - after `close()`, and for work that it stops, a `ClosedError`.
 *
 * Shipped: {@link DefaultMediaProcessor}, and for tests `FakeMediaProcessor` of
 * `multimodal-chat/testing`. The suite `mediaProcessorContract` of the same entry point checks the duties.
 */
export interface MediaProcessor {
  prepare(source: MediaSource, options?: PrepareOptions): Promise<PreparedMedia>;
  close(): Promise<void>;
}
