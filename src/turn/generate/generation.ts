import type { Clock } from '../../core/clock.js';
import type { Attempt, Failure } from '../../core/failure.js';
import type { KeyPool } from '../../keys/key-pool.js';
import type { RetryPolicy } from '../../retry/retry-policy.js';
import type { ModelRoutes } from '../model-routes.js';
import type { Spans } from '../spans.js';
import type { AskedRequest } from './fit-request.js';

export interface GenerationDeps {
  readonly keyPool: KeyPool | undefined;
  readonly models: ModelRoutes;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
  /** Starts a second attempt on another project after this silence of the first; at most one per question. */
  readonly hedge?: { readonly afterMs: number } | undefined;
}

export interface GenerationRequest {
  readonly request: AskedRequest;
  readonly estimatedTokens: number;
  /** Answered the step before: taken if it can serve at once, since signatures and caches are a project's own. */
  readonly preferProject?: string | undefined;
  readonly tenant: string;
  readonly priority: 'interactive' | 'batch';
  readonly startedAt: number;
  /** When the whole call is over, in milliseconds since the epoch. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  readonly spans: Spans;
  readonly onRetry: (event: { failed: Attempt; failure: Failure; delayMs: number; model: string }) => void;
  /** The request was refused as it was, and is answered with plain text in place of earlier answers. */
  readonly onPlainHistory?: (() => void) | undefined;
}
