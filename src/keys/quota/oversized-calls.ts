import type { LeaseRequest } from '../key-pool.js';
import type { ProjectModelQuota } from './project-model-quota.js';

/** So many refusals by quotas that were idle show that it is the call that is too large. */
const enoughRefusals = 3;
/** A ledger emptier than this does not explain a refusal. */
const idleShare = 0.5;
const rememberedMs = 600_000;

interface Suspect {
  refusals: number;
  /** The largest limit that the call did not fit. */
  limit: number;
  readonly at: number;
}

/**
 * Calls that are far larger than was estimated, larger than a whole minute's tokens: the service
 * refuses them for their rate for ever, and each refusal would cost a quota its rest.
 */
export class OversizedCalls {
  readonly #suspects = new Map<string, Suspect>();
  readonly #lastOf = new WeakMap<ProjectModelQuota, { readonly id: string; readonly at: number }>();

  /** The request with the size that refusals have shown it to have. */
  resize(request: LeaseRequest): LeaseRequest {
    if (this.#suspects.size === 0) return request;
    const suspect = this.#suspects.get(idOf(request));
    if (suspect === undefined || suspect.refusals < enoughRefusals) return request;
    return { ...request, estimatedTokens: Math.max(request.estimatedTokens, suspect.limit + 1) };
  }

  /**
   * A call was refused by a limit of `limit` tokens a minute of which `usedTokens` were used. Returns
   * whether that is rather the call's fault than that of somebody else who uses the quota.
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

/** A call that asks again keeps the moment when it began. */
function idOf({ estimatedTokens, since, tenant }: LeaseRequest): string {
  return [since, estimatedTokens, tenant].join('\n');
}
