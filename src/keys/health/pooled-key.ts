import type { KeyLease } from '../key-pool.js';
import { HalfOpenGate } from './half-open-gate.js';

/** How long a probe of a key or project keeps other calls out. */
const keyProbeMs = 30_000;

/** The key of a lease. Its value is an accessor, so that no inspection or JSON prints it. */
export class LeasedKey implements NonNullable<KeyLease['key']> {
  readonly id: string;
  readonly project: string;
  readonly #value: string;

  constructor(id: string, project: string, value: string) {
    this.id = id;
    this.project = project;
    this.#value = value;
  }

  get value(): string {
    return this.#value;
  }
}

/** Refused calls by the quota that refused them. */
export interface Rejections {
  rpm: number;
  tpm: number;
  rpd: number;
  unknown: number;
}

/** One key, its health and its counters. */
export class PooledKey {
  readonly gate = new HalfOpenGate(keyProbeMs);
  readonly id: string;
  inFlight = 0;
  usageCount = 0;
  successCount = 0;
  failureCount = 0;
  serverErrors = 0;
  lastErrorAt: number | null = null;
  lastError: string | null = null;
  /** How often the key was blamed since it last worked. */
  strikes = 0;
  /** The model of the call that was rejected last. */
  rejectedFor: string | undefined;
  readonly rejections: Rejections = { rpm: 0, tpm: 0, rpd: 0, unknown: 0 };
  #leased: LeasedKey;
  readonly #value: string;

  constructor(id: string, value: string, project: string) {
    this.id = id;
    this.#value = value;
    this.#leased = new LeasedKey(id, project, value);
  }

  /** Shared by all leases of the key. */
  get leased(): LeasedKey {
    return this.#leased;
  }

  is(value: string): boolean {
    return this.#value === value;
  }

  moveTo(project: string): void {
    this.#leased = new LeasedKey(this.id, project, this.#value);
  }
}

/** The keys of one project, which share its quotas. */
export class KeyProject {
  readonly gate = new HalfOpenGate(keyProbeMs);
  keys: PooledKey[] = [];
  strikes = 0;
  rejectedFor: string | undefined;
  readonly name: string;
  /** Whether the user named it. If not, it holds one key until evidence joins it with others. */
  readonly labelled: boolean;
  /** Google's number of the project, once a reply has named it. */
  consumer: string | undefined;
  #next = 0;

  constructor(name: string, labelled: boolean) {
    this.name = name;
    this.labelled = labelled;
  }

  /**
   * When the first key may be used; `Infinity` when none ever may.
   *
   * @param optimistic Assumes that the probes under way succeed.
   */
  allowsAt(now: number, optimistic = false): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const key of this.keys) earliest = Math.min(earliest, key.gate.allowsAt(now, optimistic));
    return Math.max(earliest, this.gate.allowsAt(now, optimistic));
  }

  /** The next usable key, in rotation. */
  pick(now: number): PooledKey | undefined {
    for (let i = 0; i < this.keys.length; i += 1) {
      const place = (this.#next + i) % this.keys.length;
      const key = this.keys[place];
      if (key !== undefined && key.gate.allowsAt(now) <= now) {
        this.#next = place + 1;
        return key;
      }
    }
    return undefined;
  }
}
