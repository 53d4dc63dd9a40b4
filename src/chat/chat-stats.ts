import type { KeyPoolStats } from '../keys/key-pool.js';
import type { MediaArchiveStats } from '../memory/media-archive.js';
import type { MemoryStats } from '../memory/memory-store.js';
import type { MemoryHealth } from './memory-health.js';

/** How the summaries of earlier turns come along (option `context.summary`). */
export interface SummaryStats {
  /** Summaries that were made or extended. */
  readonly made: number;
  readonly failed: number;
  /** Those that found no quota to spare, and are made after a later answer. */
  readonly postponed: number;
  /** When one last failed, in milliseconds since the epoch. */
  readonly lastErrorAt: number | null;
  readonly lastError: string | null;
}

/** Counters since the chat was made, and the state of its parts. */
export interface ChatStats {
  readonly keys: KeyPoolStats;
  /** Absent with memory off. */
  readonly memory?: (MemoryStats & MemoryHealth) | undefined;
  /** Attachments that are kept for later prompts. Absent when none are. */
  readonly mediaArchive?: MediaArchiveStats | undefined;
  /** Absent when none are made. */
  readonly summaries?: SummaryStats | undefined;
  readonly calls: {
    /** `inFlight`, `succeeded`, `failed` and `cancelled` together. */
    readonly total: number;
    readonly inFlight: number;
    readonly succeeded: number;
    readonly failed: number;
    /** Calls that were aborted or left before their end. */
    readonly cancelled: number;
    /** Second calls that were made because the first was late (option `hedge`). */
    readonly hedged: number;
  };
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}
