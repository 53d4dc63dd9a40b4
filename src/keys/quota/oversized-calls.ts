import type { LeaseRequest } from '../key-pool.js';
import type { Unit } from './project-model-quota.js';

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
 * refuses them for their rate for ever, and each refusal would cost a unit its rest.
 */
export class OversizedCalls {
  readonly #suspects = new Map<string, Suspect>();
  readonly #lastOf = new WeakMap<Unit, { readonly id: string; readonly at: number }>();

  /** The need with the size that refusals have shown it to have. */
  resize(need: LeaseRequest): LeaseRequest {
    if (this.#suspects.size === 0) return need;
    const suspect = this.#suspects.get(idOf(need));
    if (suspect === undefined || suspect.refusals < enoughRefusals) return need;
    return { ...need, estimatedTokens: Math.max(need.estimatedTokens, suspect.limit + 1) };
  }

  /**
   * A call was refused by a limit of `limit` tokens a minute of which `usedTokens` were used. Returns
   * whether that is rather the call's fault than that of somebody else who uses the quota.
   */
  refused(need: LeaseRequest, unit: Unit, limit: number, usedTokens: number, now: number): boolean {
    if (need.since === undefined || usedTokens + need.estimatedTokens >= limit * idleShare) return false;
    for (const [id, { at }] of this.#suspects) {
      if (at + rememberedMs > now) break;
      this.#suspects.delete(id);
    }
    const id = idOf(need);
    const suspect = this.#suspects.get(id) ?? { refusals: 0, limit: 0, at: now };
    suspect.refusals += 1;
    suspect.limit = Math.max(suspect.limit, limit);
    this.#suspects.set(id, suspect);
    const last = this.#lastOf.get(unit);
    this.#lastOf.set(unit, { id, at: now });
    return last === undefined || last.id === id || last.at + rememberedMs <= now;
  }
}

/** A call that asks again keeps the moment when it began. */
function idOf({ estimatedTokens, since, tenant }: LeaseRequest): string {
  return [since, estimatedTokens, tenant].join('\n');
}
