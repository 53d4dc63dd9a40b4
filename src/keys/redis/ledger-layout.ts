import type { KeyProject, PooledKey } from '../health/pooled-key.js';
import { type LimitRule, limitsFor } from '../limit-rules.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import type { LedgerIds } from './ledger-ids.js';

/** Some quotas as a script receives them. */
export interface QuotaSet {
  readonly quotas: readonly ProjectModelQuota[];
  readonly keys: readonly string[];
  /** JSON: the configured limits of each quota, and its number of keys. */
  readonly limits: string;
  /** JSON: the ids of the project and of the keys of each quota. */
  readonly ids: string;
  /** The keys of each quota, in the order of their ids. */
  readonly pooledKeys: readonly (readonly PooledKey[])[];
}

interface QuotaPart {
  readonly keys: readonly string[];
  readonly limits: string;
  readonly ids: string;
  readonly pooledKeys: readonly PooledKey[];
}

/** The keys in Redis. One hash tag keeps them on one node of a cluster. */
export class LedgerLayout {
  readonly ids: LedgerIds;
  readonly #prefix: string;
  readonly #rules: readonly LimitRule[];
  readonly #maxInFlightPerProjectModel: number;
  readonly #projectIds = new WeakMap<KeyProject, string>();
  readonly #sharedKeys: readonly string[];
  #parts = new WeakMap<ProjectModelQuota, QuotaPart>();
  #sets = new WeakMap<readonly ProjectModelQuota[], QuotaSet>();

  constructor(
    prefix: string,
    ids: LedgerIds,
    rules: readonly LimitRule[],
    maxInFlightPerProjectModel: number,
  ) {
    this.ids = ids;
    this.#prefix = `{${prefix}}`;
    this.#sharedKeys = ['epoch', 'gates', 'processes', 'consumers'].map((name) => `${this.#prefix}:${name}`);
    this.#rules = rules;
    this.#maxInFlightPerProjectModel = maxInFlightPerProjectModel;
  }

  /** Keys or projects have changed. */
  invalidate(): void {
    this.#parts = new WeakMap();
    this.#sets = new WeakMap();
  }

  setOf(quotas: readonly ProjectModelQuota[]): QuotaSet {
    let set = this.#sets.get(quotas);
    if (set === undefined) {
      const parts = quotas.map((quota) => this.#partOf(quota));
      set = {
        quotas,
        pooledKeys: parts.map(({ pooledKeys }) => pooledKeys),
        keys: [...this.#sharedKeys, ...parts.flatMap(({ keys }) => keys)],
        limits: `[${parts.map(({ limits }) => limits).join()}]`,
        ids: `[${parts.map(({ ids }) => ids).join()}]`,
      };
      this.#sets.set(quotas, set);
    }
    return set;
  }

  #partOf(quota: ProjectModelQuota): QuotaPart {
    let part = this.#parts.get(quota);
    if (part === undefined) {
      const pooledKeys = [...quota.project.keys];
      const project = this.projectId(quota.project);
      const limits = {
        ...limitsFor(this.#rules, quota.project.name, quota.model),
        max: this.#maxInFlightPerProjectModel,
        keys: pooledKeys.length,
      };
      const ids = [project, ...pooledKeys.map((key) => this.keyId(key))];
      // Processes of an earlier version read the state of a quota under the name `unit`.
      const keys = ['unit', 'log', 'tokens', 'running'].map(
        (name) => `${this.#prefix}:${name}:${project}.${this.ids.model(quota.model)}`,
      );
      part = { keys, limits: JSON.stringify(limits), ids: JSON.stringify(ids), pooledKeys };
      this.#parts.set(quota, part);
    }
    return part;
  }

  keyId(key: PooledKey): string {
    return this.ids.key(key.leased.value);
  }

  projectId(project: KeyProject): string {
    let id = this.#projectIds.get(project);
    if (id === undefined) {
      const [first] = project.keys;
      id =
        project.labelled || first === undefined
          ? this.ids.project(project.name)
          : this.ids.projectOfKey(first.leased.value);
      this.#projectIds.set(project, id);
    }
    return id;
  }
}
