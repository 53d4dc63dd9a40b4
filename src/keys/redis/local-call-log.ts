import type { ProjectModelQuota } from '../quota/project-model-quota.js';

/** Longer than the widest window. */
const rememberedMs = 66_000;

/** A call that this process was granted. */
export interface LocalCall {
  readonly id: string;
  readonly quota: ProjectModelQuota;
  /** By the ledger's clock. */
  readonly at: number;
  tokens: number;
  isRunning: boolean;
}

/** The calls of this process in the last minute, to be written back to a ledger that lost them. */
export class LocalCallLog {
  readonly #calls = new Map<string, LocalCall>();

  add(call: LocalCall): void {
    this.#calls.set(call.id, call);
  }

  /** The call ended. `tokens` is its real usage, if known. */
  end(id: string, tokens: number | undefined): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    call.isRunning = false;
    if (tokens !== undefined) call.tokens = tokens;
  }

  /** The call cost no quota. */
  remove(id: string): void {
    this.#calls.delete(id);
  }

  forget(now: number): void {
    for (const call of this.#calls.values()) {
      if (call.at + rememberedMs < now && !call.isRunning) this.#calls.delete(call.id);
    }
  }

  /** The calls of each quota, oldest first. */
  of(quotas: readonly ProjectModelQuota[]): readonly (readonly LocalCall[])[] {
    const byQuota = new Map<ProjectModelQuota, LocalCall[]>(quotas.map((quota) => [quota, []]));
    for (const call of this.#calls.values()) byQuota.get(call.quota.current)?.push(call);
    return quotas.map((quota) => (byQuota.get(quota) ?? []).sort((a, b) => a.at - b.at));
  }
}
