import type { Failure, FailureKind } from '../../core/failure.js';
import { isRejection, reactTo } from '../health/failure-reaction.js';
import type { PooledKey } from '../health/pooled-key.js';
import { KeyEvents } from '../key-events.js';
import type { LeaseOutcome, LeaseRequest } from '../key-pool.js';
import type { KeySpec } from '../key-spec.js';
import type { LimitRule } from '../limit-rules.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { Suspect } from '../scheduler/key-prober.js';
import { consumerNumber, KeyRegistry } from '../scheduler/key-registry.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import { type Grant, Settlement, scopesProvenBy } from '../scheduler/settlement.js';
import { hydrateGate, learnedOf, remaining } from './hydrate.js';
import type { LedgerLayout } from './ledger-layout.js';
import type { LedgerView, QuotaView, SettleRequest } from './ledger-view.js';
import { LocalCallLog } from './local-call-log.js';

/** A grant and its identity in the ledger. */
export interface SharedGrant extends Grant {
  readonly id: string;
  readonly ledgerAt: number;
  readonly bookedDayEnd: number;
}

/** The latest view of a quota, and its time by the ledger's clock. */
export interface SeenQuota {
  readonly view: QuotaView;
  readonly at: number;
}

/**
 * What one process knows of the keys, kept by the parts of the in-process scheduler. Counters and events
 * come from its own calls; limits and blocks also come from the ledger. It fills a ledger that has lost
 * its data, and is the base of the local share while Redis does not answer.
 */
export class KeyMirror {
  readonly registry: KeyRegistry;
  readonly events = new KeyEvents();
  readonly calls = new LocalCallLog();
  readonly #layout: LedgerLayout;
  readonly settlement: Settlement;
  readonly #seen = new WeakMap<ProjectModelQuota, SeenQuota>();
  #settled = 0;

  constructor(
    layout: LedgerLayout,
    rules: readonly LimitRule[],
    maxInFlightPerProjectModel: number,
    random: () => number,
  ) {
    this.#layout = layout;
    this.registry = new KeyRegistry(rules, maxInFlightPerProjectModel);
    this.settlement = new Settlement(this.registry, this.events, random);
  }

  add(keys: readonly KeySpec[]): void {
    this.registry.add(keys);
    this.#layout.invalidate();
  }

  remove(id: string): boolean {
    this.#layout.invalidate();
    return this.registry.remove(id);
  }

  quotas(): readonly ProjectModelQuota[] {
    return [...this.registry.modelQueues()].flatMap((modelQueue) => modelQueue.quotas);
  }

  seen(quota: ProjectModelQuota): SeenQuota | undefined {
    return this.#seen.get(quota);
  }

  /** How many calls were settled so far. A view requested earlier may lack the latest ones. */
  get settled(): number {
    return this.#settled;
  }

  book(
    place: { readonly modelQueue: ModelQueue; readonly quota: ProjectModelQuota; readonly key: PooledKey },
    request: LeaseRequest,
    tokens: number,
    call: {
      readonly id: string;
      readonly at: number;
      readonly dayEnd: number;
      readonly usedTokens?: number | undefined;
    },
    now: number,
  ): SharedGrant {
    const { modelQueue, key } = place;
    const quota = place.quota.current;
    const gates = [key.gate, quota.project.gate, quota.gate, modelQueue.breaker.gate];
    // The grant proves that all gates allowed the call, even if this process has not seen it yet.
    const blocks = gates.map((gate) => gate.blockedUntil).filter((at) => at < Number.POSITIVE_INFINITY);
    const at = Math.max(now, ...blocks);
    const booking = quota.book(tokens, at);
    for (const gate of [key.gate, quota.project.gate, modelQueue.breaker.gate]) gate.enter(at);
    key.inFlight += 1;
    this.calls.add({ id: call.id, quota, at: call.at, tokens, isRunning: true });
    const { estimatedTokens } = request;
    return {
      modelQueue,
      quota,
      key,
      booking,
      estimatedTokens,
      at,
      // Whether a call is too large shows only against the tokens that all processes used.
      ...(call.usedTokens === undefined ? {} : { request, usedTokens: call.usedTokens }),
      id: call.id,
      ledgerAt: call.at,
      bookedDayEnd: call.dayEnd,
    };
  }

  /** The key with this value, and its quota for a model. */
  find(
    model: string,
    value: string,
  ): { modelQueue: ModelQueue; quota: ProjectModelQuota; key: PooledKey } | undefined {
    const modelQueue = this.registry.modelQueue(model);
    for (const quota of modelQueue.quotas) {
      const key = quota.project.keys.find((candidate) => candidate.is(value));
      if (key !== undefined) return { modelQueue, quota, key };
    }
    return undefined;
  }

  /** The ledger's ids of the key, project and model of a call. */
  idsOf({ modelQueue, quota, key }: Pick<Grant, 'modelQueue' | 'quota' | 'key'>): readonly string[] {
    const { ids } = this.#layout;
    return [
      this.#layout.keyId(key),
      this.#layout.projectId(quota.current.project),
      ids.model(modelQueue.model),
    ];
  }

  /** Learns from how a call ended. Returns what the ledger needs of it. */
  settle(grant: SharedGrant, outcome: LeaseOutcome, now: number): SettleRequest {
    this.#settled += 1;
    const { key, modelQueue } = grant;
    const consumer = this.#consumerOf(outcome);
    const quotas = modelQueue.quotas;
    const before = new Map(this.#gatesOf(grant).map(({ gate }) => [gate, gate.blockedUntil]));
    const tooLarge = this.settlement.settle(
      grant,
      consumer === undefined ? outcome : hideProject(outcome, consumer),
      now,
    );
    if (modelQueue.quotas !== quotas) this.#layout.invalidate();

    const failure = outcome.ok ? undefined : outcome.failure;
    const reaction = failure && reactTo(failure);
    const refund = !outcome.ok && (reaction?.refund === true || !outcome.sent);
    const usedTokens = outcome.ok ? outcome.usage?.inputTokens || undefined : undefined;
    if (refund) this.calls.remove(grant.id);
    else this.calls.end(grant.id, usedTokens);

    const gates = this.#gatesOf(grant);
    const proven = outcome.ok ? allScopes : scopesProvenBy(outcome.failure, outcome.sent);
    return {
      id: grant.id,
      at: grant.ledgerAt,
      ok: outcome.ok,
      refund,
      bookedDayEnd: grant.bookedDayEnd,
      tokens: usedTokens,
      learned: failure?.kind === 'no-quota' ? undefined : defined(failure?.learned),
      proven: gates.flatMap(({ scope, id }) => (id !== undefined && proven.includes(scope) ? [id] : [])),
      projectModelIsProven: proven.includes('project-model'),
      refused:
        reaction?.blockMs === 'rate' && (reaction.blame === 'project-model' || reaction.blame === 'project'),
      tooLarge,
      retryAfterMs: failure?.retryAfterMs,
      why: failure?.kind,
      block: gates
        .filter(
          ({ gate }) => !gate.isHealthy && gate.blockedUntil !== before.get(gate) && gate.blockedUntil > now,
        )
        .map(({ gate, id, scope }) => ({
          ...(id === undefined ? {} : { id }),
          ...(scope === 'key' ? { strikes: key.strikes } : {}),
          ms: remaining(gate, now),
        })),
      touched: this.idsOf(grant),
      consumer,
    };
  }

  /** What the ledger needs to know of a probe of this process. */
  describeVerdict(
    { culprit, key, project }: Suspect,
    failure: Failure | undefined,
    id: string,
    now: number,
  ): { readonly quota: ProjectModelQuota; readonly request: SettleRequest } | undefined {
    const quota = this.quotas().find((candidate) => candidate.project === project);
    if (quota === undefined) return undefined;
    this.#settled += 1;
    const culpritId = culprit === key ? this.#layout.keyId(key) : this.#layout.projectId(project);
    const block = { id: culpritId, strikes: culprit.strikes, ms: remaining(culprit.gate, now) };
    const request: SettleRequest = {
      id,
      // Later than any block, so that it counts as a probe.
      at: Number.MAX_SAFE_INTEGER,
      ok: false,
      refund: false,
      bookedDayEnd: 0,
      proven: failure === undefined || culprit.gate.isHealthy ? [culpritId] : [],
      projectModelIsProven: false,
      refused: false,
      tooLarge: false,
      why: failure?.kind,
      block: culprit.gate.isHealthy ? [] : [block],
      touched: [],
    };
    return { quota, request };
  }

  /** Takes over the state of the ledger. `settledBefore` is `settled` at the time of the request. */
  hydrate(quotas: readonly ProjectModelQuota[], view: LedgerView, now: number, settledBefore: number): void {
    view.quotas?.forEach((quotaView, place) => {
      const quota = quotas[place];
      if (quota === undefined) return;
      this.#seen.set(quota, { view: quotaView, at: view.now });
      if (settledBefore !== this.#settled) return;
      quota.learn(learnedOf(quotaView));
      hydrateGate(quota.gate, quotaView.gate, now);
      quota.blockedBy = quotaView.gate?.why as FailureKind | undefined;
    });
    if (view.gates === undefined || settledBefore !== this.#settled) return;
    for (const project of this.registry.projects()) {
      hydrateGate(project.gate, view.gates[this.#layout.projectId(project)], now);
      for (const key of project.keys) {
        const shared = view.gates[this.#layout.keyId(key)];
        hydrateGate(key.gate, shared, now);
        key.strikes = Math.max(key.strikes, shared?.strikes ?? 0);
      }
    }
    for (const modelQueue of this.registry.modelQueues()) {
      const shared = view.gates[this.#layout.ids.model(modelQueue.model)];
      hydrateGate(modelQueue.breaker.gate, shared, now);
      modelQueue.breaker.isRejected = isRejection(shared?.why as FailureKind | undefined);
      if (shared?.lasted !== undefined) modelQueue.breaker.follow(now - shared.lasted);
    }
  }

  /** Joins projects that another process found to be the same. Returns whether there were any. */
  identify(consumers: Readonly<Record<string, string>>): boolean {
    let isNews = false;
    for (const project of [...this.registry.projects()]) {
      const consumer = consumers[this.#layout.projectId(project)];
      if (consumer === undefined || project.consumer === consumer) continue;
      this.registry.identify(project, consumer);
      isNews = true;
    }
    if (isNews) this.#layout.invalidate();
    return isNews;
  }

  #gatesOf(grant: Grant) {
    const quota = grant.quota.current;
    return [
      { scope: 'key', gate: grant.key.gate, id: this.#layout.keyId(grant.key) },
      { scope: 'project', gate: quota.project.gate, id: this.#layout.projectId(quota.project) },
      { scope: 'project-model', gate: quota.gate, id: undefined },
      {
        scope: 'model',
        gate: grant.modelQueue.breaker.gate,
        id: this.#layout.ids.model(grant.modelQueue.model),
      },
    ] as const;
  }

  /** Processes compare projects by digests of their numbers, so that Redis holds no number. */
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
