import type { Failure } from '../../core/failure.js';
import { reactTo } from '../health/failure-reaction.js';
import type { PooledKey } from '../health/pooled-key.js';
import { KeyEvents } from '../key-events.js';
import type { LeaseOutcome, LeaseRequest } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import type { LimitRule } from '../limit-rules.js';
import type { Unit } from '../quota/project-model-quota.js';
import { consumerNumber, KeyRing } from '../scheduler/key-registry.js';
import type { ModelLane } from '../scheduler/model-queue.js';
import { type Grant, provenBy, Settlement } from '../scheduler/settlement.js';
import { hydrateGate, learnedOf, remaining } from './hydrate.js';
import type { LedgerLayout } from './ledger-layout.js';
import type { LedgerView, SettleRequest, UnitView } from './ledger-view.js';
import { OwnCalls } from './own-calls.js';

/** A grant, and how the ledger knows it. */
export interface SharedGrant extends Grant {
  readonly id: string;
  readonly ledgerAt: number;
  readonly bookedDayEnd: number;
}

/** The latest view of a unit, and when it was taken by the ledger's clock. */
export interface SeenUnit {
  readonly view: UnitView;
  readonly at: number;
}

/**
 * What one process knows of the keys, kept by the parts of the in-process scheduler: counters, events
 * and guilt come from its own calls, limits and who is left alone also from the ledger. Out of it a
 * ledger that lost its data is filled again, and the local share is cut while there is none.
 */
export class KeyMirror {
  readonly ring: KeyRing;
  readonly events = new KeyEvents();
  readonly calls = new OwnCalls();
  readonly #layout: LedgerLayout;
  readonly #settlement: Settlement;
  readonly #seen = new WeakMap<Unit, SeenUnit>();
  #settled = 0;

  constructor(
    layout: LedgerLayout,
    rules: readonly LimitRule[],
    maxInFlightPerUnit: number,
    random: () => number,
  ) {
    this.#layout = layout;
    this.ring = new KeyRing(rules, maxInFlightPerUnit);
    this.#settlement = new Settlement(this.ring, this.events, random);
  }

  add(keys: readonly KeySpec[]): void {
    this.ring.add(keys);
    this.#layout.invalidate();
  }

  remove(id: string): boolean {
    this.#layout.invalidate();
    return this.ring.remove(id);
  }

  units(): readonly Unit[] {
    return [...this.ring.lanes()].flatMap((lane) => lane.units);
  }

  seen(unit: Unit): SeenUnit | undefined {
    return this.#seen.get(unit);
  }

  /** How many calls were settled so far: a view asked for earlier may not know the latest ones. */
  get settled(): number {
    return this.#settled;
  }

  book(
    place: { readonly lane: ModelLane; readonly unit: Unit; readonly key: PooledKey },
    need: LeaseRequest,
    tokens: number,
    call: {
      readonly id: string;
      readonly at: number;
      readonly dayEnd: number;
      readonly usedTokens?: number | undefined;
    },
    now: number,
  ): SharedGrant {
    const { lane, key } = place;
    const unit = place.unit.current;
    const gates = [key.gate, unit.project.gate, unit.gate, lane.breaker.gate];
    // Whoever granted the call found all gates passable, whatever is known here.
    const closings = gates.map((gate) => gate.closedUntil).filter((at) => at < Number.POSITIVE_INFINITY);
    const at = Math.max(now, ...closings);
    const booking = unit.book(tokens, at);
    for (const gate of [key.gate, unit.project.gate, lane.breaker.gate]) gate.enter(at);
    key.inFlight += 1;
    this.calls.add({ id: call.id, unit, at: call.at, tokens, isRunning: true });
    const { estimatedTokens } = need;
    return {
      lane,
      unit,
      key,
      booking,
      estimatedTokens,
      at,
      // Only who knows what all processes used can tell a call that is too large from one that came too much.
      ...(call.usedTokens === undefined ? {} : { need, usedTokens: call.usedTokens }),
      id: call.id,
      ledgerAt: call.at,
      bookedDayEnd: call.dayEnd,
    };
  }

  /** Where a model meets the key with this value. */
  find(model: string, value: string): { lane: ModelLane; unit: Unit; key: PooledKey } | undefined {
    const lane = this.ring.lane(model);
    for (const unit of lane.units) {
      const key = unit.project.keys.find((candidate) => candidate.is(value));
      if (key !== undefined) return { lane, unit, key };
    }
    return undefined;
  }

  /** By what the ledger knows those who take part in a call. */
  idsOf({ lane, unit, key }: Pick<Grant, 'lane' | 'unit' | 'key'>): readonly string[] {
    const { ids } = this.#layout;
    return [this.#layout.keyId(key), this.#layout.projectId(unit.current.project), ids.model(lane.model)];
  }

  /** Learns from how a call ended, and says what of it the ledger has to know. */
  settle(grant: SharedGrant, outcome: LeaseOutcome, now: number): SettleRequest {
    this.#settled += 1;
    const { key, lane } = grant;
    const consumer = this.#consumerOf(outcome);
    const units = lane.units;
    const before = new Map(this.#gatesOf(grant).map(({ gate }) => [gate, gate.closedUntil]));
    const tooLarge = this.#settlement.settle(
      grant,
      consumer === undefined ? outcome : hideProject(outcome, consumer),
      now,
    );
    if (lane.units !== units) this.#layout.invalidate();

    const failure = outcome.ok ? undefined : outcome.failure;
    const reaction = failure && reactTo(failure);
    const refund = !outcome.ok && (reaction?.refund === true || !outcome.sent);
    const usedTokens = outcome.ok ? outcome.usage?.inputTokens || undefined : undefined;
    if (refund) this.calls.remove(grant.id);
    else this.calls.end(grant.id, usedTokens);

    const gates = this.#gatesOf(grant);
    const proven = outcome.ok ? allScopes : provenBy(outcome.failure, outcome.sent);
    return {
      id: grant.id,
      at: grant.ledgerAt,
      ok: outcome.ok,
      refund,
      bookedDayEnd: grant.bookedDayEnd,
      tokens: usedTokens,
      learned: failure?.kind === 'no-quota' ? undefined : defined(failure?.learned),
      proven: gates.flatMap(({ scope, id }) => (id !== undefined && proven.includes(scope) ? [id] : [])),
      pairIsProven: proven.includes('project-model'),
      refused:
        reaction?.leaveMs === 'rate' && (reaction.blame === 'project-model' || reaction.blame === 'project'),
      tooLarge,
      retryAfterMs: failure?.retryAfterMs,
      why: failure?.kind,
      close: gates
        .filter(({ gate }) => !gate.isOpen && gate.closedUntil !== before.get(gate) && gate.closedUntil > now)
        .map(({ gate, id, scope }) => ({
          ...(id === undefined ? {} : { id }),
          ...(scope === 'key' ? { strikes: key.strikes } : {}),
          ms: remaining(gate, now),
        })),
      touched: this.idsOf(grant),
      consumer,
    };
  }

  /** Takes over what the ledger says. `settledBefore` is `settled` at the time of the question. */
  hydrate(units: readonly Unit[], view: LedgerView, now: number, settledBefore: number): void {
    view.units?.forEach((unitView, place) => {
      const unit = units[place];
      if (unit === undefined) return;
      this.#seen.set(unit, { view: unitView, at: view.now });
      if (settledBefore !== this.#settled) return;
      unit.learn(learnedOf(unitView));
      hydrateGate(unit.gate, unitView.gate, now);
    });
    if (view.gates === undefined || settledBefore !== this.#settled) return;
    for (const project of this.ring.projects()) {
      hydrateGate(project.gate, view.gates[this.#layout.projectId(project)], now);
      for (const key of project.keys) {
        const shared = view.gates[this.#layout.keyId(key)];
        hydrateGate(key.gate, shared, now);
        key.strikes = Math.max(key.strikes, shared?.strikes ?? 0);
      }
    }
    for (const lane of this.ring.lanes()) {
      const shared = view.gates[this.#layout.ids.model(lane.model)];
      hydrateGate(lane.breaker.gate, shared, now);
      if (shared?.lasted !== undefined) lane.breaker.follow(now - shared.lasted);
    }
  }

  /** Joins projects that another process found to be one. Returns whether there were any. */
  identify(consumers: Readonly<Record<string, string>>): boolean {
    let isNews = false;
    for (const project of [...this.ring.projects()]) {
      const consumer = consumers[this.#layout.projectId(project)];
      if (consumer === undefined || project.consumer === consumer) continue;
      this.ring.identify(project, consumer);
      isNews = true;
    }
    if (isNews) this.#layout.invalidate();
    return isNews;
  }

  #gatesOf(grant: Grant) {
    const unit = grant.unit.current;
    return [
      { scope: 'key', gate: grant.key.gate, id: this.#layout.keyId(grant.key) },
      { scope: 'project', gate: unit.project.gate, id: this.#layout.projectId(unit.project) },
      { scope: 'project-model', gate: unit.gate, id: undefined },
      { scope: 'model', gate: grant.lane.breaker.gate, id: this.#layout.ids.model(grant.lane.model) },
    ] as const;
  }

  /** Processes compare projects by digests of their numbers, so that no number stands in Redis. */
  #consumerOf(outcome: LeaseOutcome): string | undefined {
    if (outcome.ok || outcome.failure.project === undefined) return undefined;
    return this.#layout.ids.consumer(consumerNumber(outcome.failure.project));
  }
}

const allScopes = ['key', 'project', 'project-model', 'model'] as const;

function hideProject(outcome: LeaseOutcome, consumer: string): LeaseOutcome {
  return outcome.ok ? outcome : { ...outcome, failure: { ...outcome.failure, project: consumer } };
}

function defined(learned: Failure['learned']): Record<string, number> | undefined {
  if (learned === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(learned).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}
