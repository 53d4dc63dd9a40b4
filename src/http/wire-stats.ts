import type { ChatStats, KeyStats, WindowStats } from '../index.js';
import { seconds } from './wire-values.js';

/** The JSON form of a chat's statistics. */
export function wireStats(stats: ChatStats, notice: string | undefined): object {
  const { keys, memory, calls, summaries } = stats;
  return {
    api_key_stats: Object.fromEntries(keys.keys.map((key) => [key.id, wireKey(key)])),
    cache_size: memory?.cacheSize ?? 0,
    queued: keys.queued,
    in_flight: keys.inFlight,
    wait_ms: keys.waitMs,
    parked_models: keys.parkedModels?.map(({ model, until, reason }) => ({
      model,
      until: seconds(until),
      reason,
    })),
    calls: {
      total: calls.total,
      in_flight: calls.inFlight,
      succeeded: calls.succeeded,
      failed: calls.failed,
      cancelled: calls.cancelled,
      hedged: calls.hedged,
    },
    memory:
      memory === undefined
        ? null
        : {
            turns: memory.turns,
            sessions: memory.sessions,
            pending: memory.pending,
            disk_bytes: memory.diskBytes,
            is_degraded: memory.isDegraded,
            // Its message may name a file.
            last_error_at: memory.lastError === null ? null : seconds(memory.lastError.at),
          },
    media_archive: stats.mediaArchive ?? null,
    summaries: summaries && {
      made: summaries.made,
      failed: summaries.failed,
      postponed: summaries.postponed,
      last_error: summaries.lastErrorAt === null ? null : seconds(summaries.lastErrorAt),
      last_error_message: summaries.lastError,
    },
    started_at: seconds(stats.startedAt),
    notice,
  };
}

const wireKey = (key: KeyStats): object => ({
  usage_count: key.usageCount,
  success_count: key.successCount,
  failure_count: key.failureCount,
  in_flight: key.inFlight,
  last_error: key.lastErrorAt === null ? null : Math.floor(key.lastErrorAt / 1000),
  last_error_message: key.lastError,
  is_current: key.isCurrent,
  project: key.project,
  state: key.state,
  reason: key.reason,
  until: key.until === undefined ? undefined : seconds(key.until),
  rejections: key.rejections,
  server_errors: key.serverErrors,
  wasted_calls: key.wastedCalls,
  windows: key.windows?.map(wireWindow),
});

const wireWindow = (window: WindowStats): object => ({
  model: window.model,
  requests: window.requests,
  input_tokens: window.inputTokens,
  requests_today: window.requestsToday,
  rpm: window.rpm,
  tpm: window.tpm,
  rpd: window.rpd,
  in_flight: window.inFlight,
  next_free_at: window.nextFreeAt === null ? null : seconds(window.nextFreeAt),
});
