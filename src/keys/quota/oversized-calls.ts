import type { LeaseRequest } from '../key-pool.js';
import type { ProjectModelQuota } from './project-model-quota.js';

/** Refusals by idle quotas after which the call itself counts as too large. */
const enoughRefusals = 3;
/** A quota used less than this does not explain a refusal by itself. */
const idleShare = 0.5;
const rememberedMs = 600_000;

interface Suspect {
  refusals: number;
  /** The largest limit that the call exceeded. */
  limit: number;
  readonly at: number;
}

/**
 * Detects calls that are far larger than estimated, and larger than the tokens of a whole minute. The
 * service refuses them every time, and each refusal would cut the limit of a quota.
 */
export class OversizedCalls {
  readonly #suspects = new Map<string, Suspect>();
  readonly #lastOf = new WeakMap<ProjectModelQuota, { readonly id: string; readonly at: number }>();

  /** The request with the size that its refusals have proved. */
  resize(request: LeaseRequest): LeaseRequest {
    if (this.#suspects.size === 0) return request;
    const suspect = this.#suspects.get(idOf(request));
    if (suspect === undefined || suspect.refusals < enoughRefusals) return request;
    return { ...request, estimatedTokens: Math.max(request.estimatedTokens, suspect.limit + 1) };
  }

  /**
   * A call was refused by a limit of `limit` tokens a minute, of which `usedTokens` were used. Returns
   * whether the call is to blame rather than another application that uses the quota.
   */
  refused(
    request: LeaseRequest,
    quota: ProjectModelQuota,
    limit: number,
    usedTokens: number,
    now: number,
  ): boolean {
    if (request.since === undefined || usedTokens + request.estimatedTokens >= limit * idleShare)
      return false;
    for (const [id, { at }] of this.#suspects) {
      if (at + rememberedMs > now) break;
      this.#suspects.delete(id);
    }
    const id = idOf(request);
    const suspect = this.#suspects.get(id) ?? { refusals: 0, limit: 0, at: now };
    suspect.refusals += 1;
    suspect.limit = Math.max(suspect.limit, limit);
    this.#suspects.set(id, suspect);
    const last = this.#lastOf.get(quota);
    this.#lastOf.set(quota, { id, at: now });
    return last === undefined || last.id === id || last.at + rememberedMs <= now;
  }
}

/** A retried call keeps its `since`. */
function idOf({ estimatedTokens, since, tenant }: LeaseRequest): string {
  return [since, estimatedTokens, tenant].join('\n');
}
