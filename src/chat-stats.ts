import type { KeyPoolStats } from './keys/key-pool.js';
import type { MediaArchiveStats } from './memory/media-archive.js';
import type { MemoryStats } from './memory/memory-store.js';

/** Counters since the chat was made, and the state of its parts. */
export interface ChatStats {
  readonly keys: KeyPoolStats;
  /** Absent with memory off. */
  readonly memory?: MemoryStats | undefined;
  /** Attachments that are kept for later prompts. Absent when none are. */
  readonly mediaArchive?: MediaArchiveStats | undefined;
  readonly calls: {
    readonly total: number;
    readonly inFlight: number;
    readonly succeeded: number;
    readonly failed: number;
    /** Second calls that were made because the first was late (option `hedge`). */
    readonly hedged: number;
  };
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}
