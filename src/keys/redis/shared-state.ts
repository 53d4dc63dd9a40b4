import type { GateState } from '../health/half-open-gate.js';
import type { KeyProject, PooledKey } from '../health/pooled-key.js';
import { limitsFor } from '../limit-rules.js';
import { ProjectModelQuota } from '../quota/project-model-quota.js';
import { partOf, type QuotaState } from '../quota/quota-state.js';
import type { KeyRegistry } from '../scheduler/key-registry.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import { type Changes, LedgerDocument } from './document-store.js';
import type { LedgerIds } from './ledger-ids.js';

/** After a loss of data no call is granted for this long, so that every process can add what it knows. */
const graceMs = 1_500;
/** How often a process says that its calls still run. */
const renewedMs = 900;

/** A key or project in Redis. */
interface SavedHealth {
  readonly gate?: GateState | undefined;
  readonly strikes: number;
  readonly consumer?: string | undefined;
}

/** Calls that run, by process, and until when they count without a sign of life. */
type Running = Readonly<Record<string, readonly [count: number, until: number]>>;

interface SavedQuota extends QuotaState {
  readonly running: Running;
}

interface SavedModel {
  readonly gate?: GateState | undefined;
  readonly failingSince: number;
  /** Until then processes add what they know after a loss of data. */
  readonly graceUntil: number;
}

const modelField = 'model';

export interface SharedStateOptions {
  readonly registry: KeyRegistry;
  readonly ids: LedgerIds;
  readonly prefix: string;
  readonly process: string;
  /** After this the calls of a dead process no longer count as running. */
  readonly leaseMs: number;
}

/** Copies the state of the scheduler to documents and back: one of all keys and projects, and one a model. */
export class SharedState {
  readonly #keys: LedgerDocument;
  readonly #options: SharedStateOptions;
  readonly #models = new Map<ModelQueue, LedgerDocument>();
  readonly #projectIds = new WeakMap<KeyProject, string>();
  readonly #running = new WeakMap<ProjectModelQuota, Running>();
  /** The text that a quota was read from or written to. */
  readonly #loaded = new WeakMap<ProjectModelQuota, string | undefined>();
  readonly #graceUntil = new WeakMap<ModelQueue, number>();
  #joinedCount = 0;

  constructor(options: SharedStateOptions) {
    this.#options = options;
    this.#keys = new LedgerDocument(`{${options.prefix}}:keys`);
  }

  #modelDocument(modelQueue: ModelQueue): LedgerDocument {
    let document = this.#models.get(modelQueue);
    if (document === undefined) {
      const { ids, prefix } = this.#options;
      document = new LedgerDocument(`{${prefix}}:${ids.model(modelQueue.model)}`);
      this.#models.set(modelQueue, document);
    }
    return document;
  }

  graceUntil(modelQueue: ModelQueue): number {
    return this.#graceUntil.get(modelQueue) ?? 0;
  }

  /** Counts the calls of the other processes that are alive. */
  refresh(modelQueue: ModelQueue, now: number, process: string | undefined): void {
    for (const quota of modelQueue.quotas) {
      let others = 0;
      for (const [other, [count, until]] of Object.entries(this.#running.get(quota) ?? {}))
        if (other !== this.#options.process && until > now) others += count;
      quota.othersInFlight = others;
      quota.process = process;
    }
  }

  /** Leaves each quota the part of this process of its limits and of what was used. */
  share(modelQueue: ModelQueue, processes: number, now: number): void {
    for (const quota of modelQueue.quotas) {
      quota.othersInFlight = 0;
      quota.process = undefined;
      if (quota.limits.processes === processes) continue;
      quota.load(partOf(quota.save(now), processes));
      quota.limits.processes = processes;
    }
  }

  /** Takes over the documents. What Redis has lost is kept, and is to be written again. */
  load(modelQueue: ModelQueue, touched: ReadonlySet<ProjectModelQuota>, now: number): void {
    this.#loadKeys(now);
    for (const quota of touched) this.#loaded.delete(quota);
    this.#loadModel(modelQueue, now);
  }

  /** What has changed in the documents. */
  writes(
    modelQueue: ModelQueue,
    touched: ReadonlySet<ProjectModelQuota>,
    now: number,
  ): ReadonlyMap<LedgerDocument, Changes> {
    return new Map([
      [this.#keys, this.#keyChanges()],
      [this.#modelDocument(modelQueue), this.#modelChanges(modelQueue, touched, now)],
    ]);
  }

  #keyChanges(): Changes {
    const changes = new Map<string, string>();
    for (const project of this.#options.registry.projects()) {
      this.#change(changes, this.#keys, this.#projectId(project), saveHealth(project, project.consumer));
      for (const key of project.keys) this.#change(changes, this.#keys, this.#keyId(key), saveHealth(key));
    }
    for (const from of this.#options.registry.joined.keys())
      this.#change(changes, this.#keys, this.#projectId(from), saveHealth(from, from.consumer));
    return changes;
  }

  #modelChanges(modelQueue: ModelQueue, touched: ReadonlySet<ProjectModelQuota>, now: number): Changes {
    const { registry } = this.#options;
    const document = this.#modelDocument(modelQueue);
    const changes = new Map<string, string>();
    const { gate, failingSince } = modelQueue.breaker;
    const graceUntil = this.graceUntil(modelQueue);
    const isUsual = gate.isHealthy && graceUntil === 0;
    const saved: SavedModel | undefined = isUsual
      ? undefined
      : { gate: gate.save(), failingSince, graceUntil };
    this.#change(changes, document, modelField, saved);
    const isWhole = document.lost !== undefined || this.#joinedCount !== registry.joined.size;
    for (const quota of modelQueue.quotas) {
      if (!touched.has(quota) && !isWhole && !this.#isToRenew(quota, now)) continue;
      this.#change(changes, document, this.#projectId(quota.project), this.#saveQuota(quota, now));
    }
    for (const from of registry.joined.keys()) {
      const id = this.#projectId(from);
      if (document.fields.has(id)) changes.set(id, '');
    }
    return changes;
  }

  /** The changes are in Redis. */
  saved(modelQueue: ModelQueue): void {
    const { fields } = this.#modelDocument(modelQueue);
    for (const quota of modelQueue.quotas)
      this.#loaded.set(quota, fields.get(this.#projectId(quota.project)));
    this.#joinedCount = this.#options.registry.joined.size;
    this.#keys.lost = undefined;
    this.#modelDocument(modelQueue).lost = undefined;
  }

  #projectId(project: KeyProject): string {
    let id = this.#projectIds.get(project);
    if (id === undefined) {
      const { ids } = this.#options;
      const [first] = project.keys;
      id =
        project.labelled || first === undefined
          ? ids.project(project.name)
          : ids.projectOfKey(first.leased.value);
      this.#projectIds.set(project, id);
    }
    return id;
  }

  #keyId(key: PooledKey): string {
    return this.#options.ids.key(key.leased.value);
  }

  #change(changes: Map<string, string>, document: LedgerDocument, name: string, value: unknown): void {
    const text = value === undefined ? '' : JSON.stringify(value);
    if (text !== (document.fields.get(name) ?? '')) changes.set(name, text);
  }

  #saveQuota(quota: ProjectModelQuota, now: number): SavedQuota {
    const { leaseMs, process } = this.#options;
    const alive = Object.entries(this.#running.get(quota) ?? {}).filter(
      ([other, [, until]]) => other !== process && until > now,
    );
    const own = quota.ownInFlight > 0 ? [[process, [quota.ownInFlight, now + leaseMs]] as const] : [];
    const running: Running = Object.fromEntries([...alive, ...own]);
    this.#running.set(quota, running);
    return { ...quota.save(now), running };
  }

  /** Whether the other processes would soon take this one for dead. */
  #isToRenew(quota: ProjectModelQuota, now: number): boolean {
    if (quota.ownInFlight === 0) return false;
    const { leaseMs, process } = this.#options;
    const until = this.#running.get(quota)?.[process]?.[1] ?? 0;
    return until < now + leaseMs - Math.min(renewedMs, leaseMs / 2);
  }

  #loadKeys(now: number): void {
    const { registry } = this.#options;
    for (const project of [...registry.projects()]) {
      const saved = this.#loadHealth(project, this.#projectId(project));
      for (const key of project.keys) this.#loadHealth(key, this.#keyId(key));
      if (saved?.consumer !== undefined && saved.consumer !== project.consumer)
        registry.identify(project, saved.consumer, now);
    }
  }

  #loadHealth(part: PooledKey | KeyProject, id: string): SavedHealth | undefined {
    const text = textOf(this.#keys, id);
    const saved = text === undefined ? undefined : (JSON.parse(text) as SavedHealth);
    part.gate.load(saved?.gate);
    part.strikes = saved?.strikes ?? 0;
    return saved;
  }

  #loadModel(modelQueue: ModelQueue, now: number): void {
    const { registry } = this.#options;
    const document = this.#modelDocument(modelQueue);
    const text = textOf(document, modelField);
    const saved = text === undefined ? undefined : (JSON.parse(text) as SavedModel);
    const { breaker } = modelQueue;
    breaker.gate.load(saved?.gate);
    if (saved !== undefined) breaker.failingSince = saved.failingSince;
    // The process that finds the loss first starts the time of grace, the others take it over.
    const isFirst = document.lost !== undefined && document.version === '';
    const graceUntil = isFirst ? now + graceMs : (saved?.graceUntil ?? 0);
    this.#graceUntil.set(modelQueue, graceUntil > now ? graceUntil : 0);
    for (const quota of modelQueue.quotas) this.#loadQuota(document, quota, now);
    for (const [from, into] of registry.joined) {
      const target = modelQueue.quotas.find(({ project }) => project === into);
      if (target === undefined || !document.fields.has(this.#projectId(from))) continue;
      const absorbed = new ProjectModelQuota(modelQueue.model, from, {}, 1);
      this.#loadQuota(document, absorbed, now);
      target.absorb(absorbed, now);
      this.#joinedCount = -1;
    }
  }

  #loadQuota(document: LedgerDocument, quota: ProjectModelQuota, now: number): void {
    const id = this.#projectId(quota.project);
    const [text, lost] = [textOf(document, id), document.lost?.get(id)];
    if (lost === undefined && this.#loaded.has(quota) && this.#loaded.get(quota) === text) return;
    this.#loaded.set(quota, text);
    const saved = text === undefined ? undefined : (JSON.parse(text) as SavedQuota);
    quota.load(saved ?? newQuota(quota));
    this.#running.set(quota, saved?.running ?? {});
    if (lost === undefined || lost === text) return;
    const copy = new ProjectModelQuota(quota.model, quota.project, {}, 1);
    copy.load(JSON.parse(lost) as SavedQuota);
    quota.absorb(copy, now, true);
  }
}

/** What Redis holds of a field, or what it held before it lost its data. */
function textOf(document: LedgerDocument, name: string): string | undefined {
  return document.fields.get(name) ?? document.lost?.get(name);
}

function saveHealth(part: PooledKey | KeyProject, consumer?: string): SavedHealth | undefined {
  const gate = part.gate.save();
  if (gate === undefined && part.strikes === 0 && consumer === undefined) return undefined;
  return { gate, strikes: part.strikes, consumer };
}

function newQuota({ model, project }: ProjectModelQuota): QuotaState {
  return new ProjectModelQuota(model, project, limitsFor([], project.name, model), 1).save(0);
}
