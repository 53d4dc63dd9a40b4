import { type Clock, wallAheadMs } from '../../core/clock.js';
import { KeyProject, PooledKey } from '../health/pooled-key.js';
import { type KeySpec, maskKey } from '../key-spec.js';
import { type LimitRule, limitsFor } from '../limit-rules.js';
import { ProjectModelQuota } from '../quota/project-model-quota.js';
import { ModelQueue, type PeerDemand } from './model-queue.js';

export interface KeyRegistryOptions {
  readonly limits: readonly LimitRule[];
  readonly maxInFlightPerProjectModel: number;
}

/** The keys, their projects, and a queue for each model. */
export class KeyRegistry {
  readonly #projects = new Map<string, KeyProject>();
  readonly #modelQueues = new Map<string, ModelQueue>();
  /** Current names of projects that were joined to another one. */
  readonly #aliases = new Map<string, string>();
  /** Projects that were merged into another one. */
  readonly joined = new Map<KeyProject, KeyProject>();
  readonly #rules: readonly LimitRule[];
  readonly #maxInFlightPerProjectModel: number;
  readonly #clock: Clock;
  readonly #peers: PeerDemand | undefined;
  #added = 0;

  constructor(options: KeyRegistryOptions, clock: Clock, peers?: PeerDemand) {
    this.#clock = clock;
    this.#peers = peers;
    this.#rules = options.limits;
    this.#maxInFlightPerProjectModel = options.maxInFlightPerProjectModel;
  }

  modelQueues(): IterableIterator<ModelQueue> {
    return this.#modelQueues.values();
  }

  projects(): IterableIterator<KeyProject> {
    return this.#projects.values();
  }

  modelQueue(model: string): ModelQueue {
    let modelQueue = this.#modelQueues.get(model);
    if (modelQueue === undefined) {
      modelQueue = new ModelQueue(model, () => wallAheadMs(this.#clock), this.#peers);
      this.#modelQueues.set(model, modelQueue);
      modelQueue.quotas = [...this.#projects.values()].map((project) => this.#quota(model, project));
    }
    return modelQueue;
  }

  /** The current name of a project. */
  projectName(name: string | undefined): string | undefined {
    if (name === undefined) return undefined;
    return this.#aliases.get(name) ?? name;
  }

  /** The values of all keys. */
  secrets(): readonly string[] {
    return this.#keys().map((key) => key.leased.value);
  }

  add(specs: readonly KeySpec[]): void {
    for (const spec of specs) {
      const { key: value, project: label } =
        typeof spec === 'string' ? { key: spec, project: undefined } : spec;
      if (this.#keys().some((known) => known.is(value))) continue;
      this.#added += 1;
      const id = maskKey(this.#added, value);
      const name = this.projectName(label) ?? id;
      const project = this.#project(name, label !== undefined);
      project.keys.push(new PooledKey(id, value, name));
    }
  }

  remove(id: string): boolean {
    for (const project of this.#projects.values()) {
      const left = project.keys.filter((key) => key.id !== id);
      if (left.length < project.keys.length) {
        // The project stays, because its quotas stay used if the key comes back.
        project.keys = left;
        return true;
      }
    }
    return false;
  }

  /** A reply named the number of a project. Joins the projects that share it. */
  identify(project: KeyProject, consumer: string, now: number): void {
    const number = consumerNumber(consumer);
    project.consumer ??= number;
    const same = [...this.#projects.values()].filter((other) => other.consumer === number);
    const target = same.find((other) => other.labelled) ?? same[0] ?? project;
    for (const other of same) {
      if (other !== target && !other.labelled) this.join(other, target, now);
    }
  }

  /** Merges `from` into `into`, because they are the same project. */
  join(from: KeyProject, into: KeyProject, now: number): void {
    this.joined.set(from, into);
    this.#projects.delete(from.name);
    this.#aliases.set(from.name, into.name);
    for (const key of from.keys) key.moveTo(into.name);
    into.keys = [...into.keys, ...from.keys];
    from.keys = [];
    for (const modelQueue of this.#modelQueues.values()) {
      const absorbed = modelQueue.quotas.find((quota) => quota.project === from);
      const target = modelQueue.quotas.find((quota) => quota.project === into);
      if (absorbed !== undefined && target !== undefined) target.absorb(absorbed, now);
      modelQueue.quotas = modelQueue.quotas.filter((quota) => quota !== absorbed);
    }
  }

  #project(name: string, labelled: boolean): KeyProject {
    let project = this.#projects.get(name);
    if (project === undefined) {
      project = new KeyProject(name, labelled);
      this.#projects.set(name, project);
      for (const modelQueue of this.#modelQueues.values())
        modelQueue.quotas = [...modelQueue.quotas, this.#quota(modelQueue.model, project)];
    }
    return project;
  }

  #quota(model: string, project: KeyProject): ProjectModelQuota {
    return new ProjectModelQuota(
      model,
      project,
      limitsFor(this.#rules, project.name, model),
      this.#maxInFlightPerProjectModel,
      () => wallAheadMs(this.#clock),
    );
  }

  #keys(): readonly PooledKey[] {
    return [...this.#projects.values()].flatMap((project) => project.keys);
  }
}

/** The project number in `projects/123` or `project_number:123`, as replies write it. */
export function consumerNumber(consumer: string): string {
  return consumer.replace(/^projects?[/_a-z]*[:/]/, '');
}
