import type { Unit } from '../quota/project-model-quota.js';

/** Long enough for the widest window. */
const rememberedMs = 66_000;

/** A call that this process was granted. */
export interface OwnCall {
  readonly id: string;
  readonly unit: Unit;
  /** By the ledger's clock. */
  readonly at: number;
  tokens: number;
  isRunning: boolean;
}

/** The calls of this process that count against some minute, to be written back to a ledger that lost them. */
export class OwnCalls {
  readonly #calls = new Map<string, OwnCall>();

  add(call: OwnCall): void {
    this.#calls.set(call.id, call);
  }

  /** The call ended, for so many tokens in reality. */
  end(id: string, tokens: number | undefined): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    call.isRunning = false;
    if (tokens !== undefined) call.tokens = tokens;
  }

  /** The call cost nothing. */
  remove(id: string): void {
    this.#calls.delete(id);
  }

  forget(now: number): void {
    for (const call of this.#calls.values()) {
      if (call.at + rememberedMs < now && !call.isRunning) this.#calls.delete(call.id);
    }
  }

  /** Calls of each unit, oldest first. */
  of(units: readonly Unit[]): readonly (readonly OwnCall[])[] {
    const byUnit = new Map<Unit, OwnCall[]>(units.map((unit) => [unit, []]));
    for (const call of this.#calls.values()) byUnit.get(call.unit.current)?.push(call);
    return units.map((unit) => (byUnit.get(unit) ?? []).sort((a, b) => a.at - b.at));
  }
}
