import type { KeyProject, PooledKey } from '../health/pooled-key.js';
import { type LimitRule, limitsFor } from '../limit-rules.js';
import type { Unit } from '../quota/project-model-quota.js';
import type { LedgerIds } from './ledger-ids.js';

/** Some units as a script gets them. */
export interface UnitSet {
  readonly units: readonly Unit[];
  readonly keys: readonly string[];
  /** The configured limits of each unit, and how many keys it has. */
  readonly limits: string;
  /** The ids of the project and of the keys of each unit. */
  readonly ids: string;
  /** The keys of each unit, in the order of their ids. */
  readonly pooledKeys: readonly (readonly PooledKey[])[];
}

interface UnitPart {
  readonly keys: readonly string[];
  readonly limits: string;
  readonly ids: string;
  readonly pooledKeys: readonly PooledKey[];
}

/** Where everything stands in Redis, all under one hash tag, so that one node of a cluster holds it. */
export class LedgerLayout {
  readonly ids: LedgerIds;
  readonly #prefix: string;
  readonly #rules: readonly LimitRule[];
  readonly #maxInFlightPerUnit: number;
  readonly #projectIds = new WeakMap<KeyProject, string>();
  readonly #sharedKeys: readonly string[];
  #parts = new WeakMap<Unit, UnitPart>();
  #sets = new WeakMap<readonly Unit[], UnitSet>();

  constructor(prefix: string, ids: LedgerIds, rules: readonly LimitRule[], maxInFlightPerUnit: number) {
    this.ids = ids;
    this.#prefix = `{${prefix}}`;
    this.#sharedKeys = ['epoch', 'gates', 'processes', 'consumers'].map((name) => `${this.#prefix}:${name}`);
    this.#rules = rules;
    this.#maxInFlightPerUnit = maxInFlightPerUnit;
  }

  /** Keys or projects have changed. */
  invalidate(): void {
    this.#parts = new WeakMap();
    this.#sets = new WeakMap();
  }

  setOf(units: readonly Unit[]): UnitSet {
    let set = this.#sets.get(units);
    if (set === undefined) {
      const parts = units.map((unit) => this.#partOf(unit));
      set = {
        units,
        pooledKeys: parts.map(({ pooledKeys }) => pooledKeys),
        keys: [...this.#sharedKeys, ...parts.flatMap(({ keys }) => keys)],
        limits: `[${parts.map(({ limits }) => limits).join()}]`,
        ids: `[${parts.map(({ ids }) => ids).join()}]`,
      };
      this.#sets.set(units, set);
    }
    return set;
  }

  #partOf(unit: Unit): UnitPart {
    let part = this.#parts.get(unit);
    if (part === undefined) {
      const pooledKeys = [...unit.project.keys];
      const project = this.projectId(unit.project);
      const limits = {
        ...limitsFor(this.#rules, unit.project.name, unit.model),
        max: this.#maxInFlightPerUnit,
        keys: pooledKeys.length,
      };
      const ids = [project, ...pooledKeys.map((key) => this.keyId(key))];
      const keys = ['unit', 'log', 'tokens', 'running'].map(
        (name) => `${this.#prefix}:${name}:${project}.${this.ids.model(unit.model)}`,
      );
      part = { keys, limits: JSON.stringify(limits), ids: JSON.stringify(ids), pooledKeys };
      this.#parts.set(unit, part);
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
