import { type LimitRule, limitsFor } from '../limit-rules.js';
import type { KeyProject, PooledKey } from '../pooled-key.js';
import type { Unit } from '../unit.js';
import type { LedgerIds } from './ledger-ids.js';

/** Some units as a script gets them. */
export interface UnitSet {
  readonly units: readonly Unit[];
  readonly keys: readonly string[];
  readonly config: string;
  /** The keys of each unit, in the order of the ids in `config`. */
  readonly pooledKeys: readonly (readonly PooledKey[])[];
}

/** Where everything stands in Redis, all under one hash tag, so that one node of a cluster holds it. */
export class LedgerLayout {
  readonly ids: LedgerIds;
  readonly #prefix: string;
  readonly #rules: readonly LimitRule[];
  readonly #maxInFlightPerUnit: number;
  readonly #projectIds = new WeakMap<KeyProject, string>();
  #sets = new WeakMap<readonly Unit[], UnitSet>();

  constructor(prefix: string, ids: LedgerIds, rules: readonly LimitRule[], maxInFlightPerUnit: number) {
    this.ids = ids;
    this.#prefix = `{${prefix}}`;
    this.#rules = rules;
    this.#maxInFlightPerUnit = maxInFlightPerUnit;
  }

  /** Keys or projects have changed. */
  invalidate(): void {
    this.#sets = new WeakMap();
  }

  setOf(units: readonly Unit[]): UnitSet {
    let set = this.#sets.get(units);
    if (set === undefined) {
      const pooledKeys = units.map((unit) => [...unit.project.keys]);
      set = {
        units,
        pooledKeys,
        keys: [...this.#sharedKeys(), ...units.flatMap((unit) => this.#unitKeys(unit))],
        config: JSON.stringify({
          units: units.map((unit, place) => ({
            ...limitsFor(this.#rules, unit.project.name, unit.model),
            max: this.#maxInFlightPerUnit,
            project: this.projectId(unit.project),
            keys: (pooledKeys[place] ?? []).map((key) => this.keyId(key)),
          })),
        }),
      };
      this.#sets.set(units, set);
    }
    return set;
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

  #sharedKeys(): readonly string[] {
    return ['epoch', 'gates', 'processes', 'consumers'].map((name) => `${this.#prefix}:${name}`);
  }

  #unitKeys(unit: Unit): readonly string[] {
    const id = `${this.projectId(unit.project)}.${this.ids.model(unit.model)}`;
    return ['unit', 'log', 'tokens', 'running'].map((name) => `${this.#prefix}:${name}:${id}`);
  }
}
