import type { AbortOptions } from '../core/abort.js';
import type { Failure } from '../core/failure.js';
import type { Usage } from '../core/usage.js';

/** What a call needs from the pool. */
export interface LeaseRequest {
  /** Name of the model that will be called. */
  readonly model: string;
  /** Expected input tokens; they are reserved until the lease is settled. */
  readonly estimatedTokens: number;
  /** Only keys of this project may serve, because it owns a resource that the request names. */
  readonly project?: string | undefined;
  /** Keys of this project may not serve, because a call for the same question already runs there. */
  readonly avoidProject?: string | undefined;
  /** Tenants are served in rotation. Default `default`. */
  readonly tenant?: string | undefined;
  /** Interactive calls are served before batch calls. Default `interactive`. */
  readonly priority?: 'interactive' | 'batch' | undefined;
  /** When the caller stops waiting, by the `now()` of the pool's clock; by default that of `systemClock`. */
  readonly deadline?: number | undefined;
  /**
   * A call whose turn is expected to come later than this is refused at once, in milliseconds. Default: the
   * deadline alone decides how long it waits for its turn.
   */
  readonly maxWaitMs?: number | undefined;
  /**
   * When the call began, by the same clock. A retried call keeps its place among the calls of its
   * tenant by it. Default: now.
   */
  readonly since?: number | undefined;
}

/** Tries whether a rejected key works again, at no cost in quota: `undefined` if it does, or why not. */
export type KeyProbe = (
  call: { readonly key: string; readonly project: string; readonly model: string },
  options: AbortOptions,
) => Promise<Failure | undefined>;

/** How a call ended. */
export type LeaseOutcome =
  | { readonly ok: true; readonly usage?: Usage | undefined }
  | {
      readonly ok: false;
      readonly failure: Failure;
      /** Whether the request reached the service, and so may have cost quota. */
      readonly sent: boolean;
    };

/** The right to make one call with one key. */
export interface KeyLease {
  readonly key: {
    /** Masked, safe to show: `key_1_...w2Do`. */
    readonly id: string;
    /** The secret itself. */
    readonly value: string;
    readonly project: string;
  };
  /** Reports how the call ended. Must be called once; a second call is ignored. */
  settle(outcome: LeaseOutcome): void;
}

/** A limit of one project and model. */
export interface LimitStats {
  /** `null` when it is unknown. */
  readonly value: number | null;
  /** Given in the options, named by a refusal, estimated from refusals that named none, or unknown. */
  readonly origin: 'configured' | 'learned' | 'estimated' | 'unknown';
}

/** How far the quota of one project and model is used. */
export interface WindowStats {
  readonly model: string;
  /** Requests of the last minute. */
  readonly requests: number;
  /** Input tokens of the last minute, reserved estimates included. */
  readonly inputTokens: number;
  /** Requests since midnight in Los Angeles. */
  readonly requestsToday: number;
  readonly rpm: LimitStats;
  readonly tpm: LimitStats;
  readonly rpd: LimitStats;
  readonly inFlight: number;
  /** When the next call may start, in milliseconds since the epoch; `null` when none ever may. */
  readonly nextFreeAt: number | null;
}

/** Counters and state of one key. */
export interface KeyStats {
  readonly id: string;
  readonly project: string;
  /** Calls that were sent with the key. */
  readonly usageCount: number;
  readonly successCount: number;
  readonly failureCount: number;
  readonly inFlight: number;
  /** When the key last failed, in milliseconds since the epoch. */
  readonly lastErrorAt: number | null;
  readonly lastError: string | null;
  /** Whether the key served the latest call. */
  readonly isCurrent: boolean;
  readonly state: 'ready' | 'cooling' | 'disabled';
  /** Why the key is not ready, in one sentence. */
  readonly reason?: string | undefined;
  /** When it will be tried again, in milliseconds since the epoch. */
  readonly until?: number | undefined;
  /** Quotas of the key's project, which all its keys share; one entry a model. */
  readonly windows?: readonly WindowStats[] | undefined;
  /** Refused calls, by the quota that refused them. */
  readonly rejections?:
    | { readonly rpm: number; readonly tpm: number; readonly rpd: number; readonly unknown: number }
    | undefined;
  /** Calls that failed in the service (5xx). */
  readonly serverErrors?: number | undefined;
  /** Calls that were sent and got no answer. */
  readonly wastedCalls?: number | undefined;
}

export interface KeyPoolStats {
  readonly keys: readonly KeyStats[];
  /**
   * Whether the service has rejected every key (invalid, suspended, without permission or billing), so that
   * no call can be served until one is repaired. Absent if the pool does not tell.
   */
  readonly allRejected?: boolean | undefined;
  /** Calls that wait for a key. */
  readonly queued: number;
  readonly inFlight: number;
  /** How long the latest calls (at most 1,024) waited for a key, in milliseconds. */
  readonly waitMs?: { readonly p50: number; readonly p99: number; readonly max: number } | undefined;
  /** Models that are paused because they failed on every key. */
  readonly parkedModels?:
    | readonly { readonly model: string; readonly until: number; readonly reason: string }[]
    | undefined;
}

/** A change in the state of a key or its quotas. */
export interface KeyEvent {
  /** Paused for a while, taken out of rotation, back in it, or wiser about a quota. */
  readonly type: 'cooled' | 'disabled' | 'recovered' | 'limit-learned';
  /** Masked, safe to show: `key_1_...w2Do`. */
  readonly keyId: string;
  readonly project: string;
  /** The model that it concerns; absent if it concerns all. */
  readonly model?: string | undefined;
  /** Why, in one sentence. */
  readonly reason?: string | undefined;
  /** When the key will be tried again, in milliseconds since the epoch. */
  readonly until?: number | undefined;
  readonly learned?: Failure['learned'];
}

/**
 * Grants the right to make one call, and learns from how the call ended.
 *
 * An implementer owes:
 * - `acquire` resolves with a lease that no limit known to the pool forbids, waits while there is
 *   none, and rejects with `KeyPoolExhaustedError` as soon as it is clear that the deadline cannot be
 *   met. An abort rejects with `signal.reason` at once and leaves nothing reserved.
 * - a failure is blamed on its `scope` and on nothing else: an overloaded model never costs a key, a
 *   bad key never costs its project.
 * - a call waits for quota that comes back soon, and never for a key that the service rejects (`auth`,
 *   `permission`, `billing`): without any other key it is refused at once, with the time of the next try.
 * - any number of concurrent calls; first come, first served within a tenant and priority.
 * - `close` rejects waiting and later calls with `ClosedError`. Leases that are out may still be settled.
 *
 * `keyPoolContract` of `multimodal-chat/testing` checks all of this.
 *
 * Shipped: {@link ScheduledKeyPool}, {@link redis!RedisKeyPool | RedisKeyPool} for several processes,
 * {@link testing!FakeKeyPool | FakeKeyPool} for tests.
 */
export interface KeyPool {
  acquire(request: LeaseRequest, options?: AbortOptions): Promise<KeyLease>;
  stats(): Promise<KeyPoolStats>;
  /** The values of all keys, so that they can be removed from replies and errors. */
  secrets?(): readonly string[];
  /** Subscribes to key events. Returns the function that unsubscribes. */
  onEvent?(listener: (event: KeyEvent) => void): () => void;
  /**
   * Gives the pool a way to try rejected keys by itself, so that no caller has to. Without one, the first
   * call after the pause tries the key. A chat gives it the probe of its model. Returns the function that
   * takes it back.
   */
  useProbe?(probe: KeyProbe): () => void;
  close(): Promise<void>;
}
