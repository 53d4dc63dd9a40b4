import type { Clock } from '../../core/clock.js';
import type { Failure } from '../../core/failure.js';
import { reactTo, rejectedForMs } from '../health/failure-reaction.js';
import type { KeyProject, PooledKey } from '../health/pooled-key.js';
import type { KeyEvents } from '../key-events.js';
import type { KeyEvent, KeyProbe } from '../key-pool.js';
import type { KeyRegistry } from './key-registry.js';
import { type Settlement, scopesProvenBy } from './settlement.js';
import { WakeTimer } from './wake-timer.js';

/** How long a probe may take. It starts this long before calls may use the key again. */
const probeMs = 5_000;
/** When to try again after a probe that proved nothing, for example because the network is down. */
const inconclusiveMs = 30_000;

/** A rejected key, or a key of a rejected project. */
interface Suspect {
  readonly culprit: PooledKey | KeyProject;
  readonly project: KeyProject;
  readonly key: PooledKey;
}

export interface KeyProberDeps {
  readonly clock: Clock;
  readonly registry: KeyRegistry;
  readonly settlement: Settlement;
  readonly events: KeyEvents;
  /** Changes the state of keys, and emits the events that this returns. */
  readonly change: (
    model: string | undefined,
    run: (now: number) => readonly KeyEvent[],
  ) => Promise<void> | undefined;
}

/** Tries rejected keys and projects shortly before calls may use them again, so that no call has to. */
export class KeyProber {
  readonly #deps: KeyProberDeps;
  readonly #probes: KeyProbe[] = [];
  readonly #timer: WakeTimer;
  readonly #running = new Map<Suspect['culprit'], AbortController>();
  #isClosed = false;

  constructor(deps: KeyProberDeps) {
    this.#deps = deps;
    this.#timer = new WakeTimer(deps.clock, () => this.arm(), true);
    deps.events.on('key', ({ type }) => {
      if (type === 'disabled') this.arm();
    });
  }

  /** Returns the function that takes the probe back. */
  use(probe: KeyProbe): () => void {
    // Two chats may give the same function.
    const own: KeyProbe = (call, options) => probe(call, options);
    this.#probes.push(own);
    this.#changed();
    return () => {
      this.#probes.splice(0, this.#probes.length, ...this.#probes.filter((other) => other !== own));
      this.#changed();
    };
  }

  /** Probes what is due, and sets the timer for the next one. */
  arm(): void {
    const probe = this.#isClosed ? undefined : this.#probes.at(-1);
    if (probe === undefined) {
      this.#timer.set(Number.POSITIVE_INFINITY);
      return;
    }
    const now = this.#deps.clock.now();
    let wakeAt = Number.POSITIVE_INFINITY;
    for (const suspect of this.#suspects()) {
      const dueAt = suspect.culprit.gate.blockedUntil - probeMs;
      if (dueAt <= now) void this.#try(suspect, probe);
      else wakeAt = Math.min(wakeAt, dueAt);
    }
    this.#timer.set(wakeAt);
  }

  close(): void {
    this.#isClosed = true;
    this.#abortAll();
    this.arm();
  }

  #changed(): void {
    this.#deps.settlement.hasProbe = this.#probes.length > 0;
    if (this.#probes.length === 0) this.#abortAll();
    this.arm();
  }

  #abortAll(): void {
    for (const controller of this.#running.values()) controller.abort();
    this.#running.clear();
  }

  *#suspects(): Generator<Suspect> {
    for (const project of this.#deps.registry.projects()) {
      const [first] = project.keys;
      if (first !== undefined && this.#isSuspect(project)) {
        const key = project.keys.find(({ gate }) => gate.isHealthy) ?? first;
        yield { culprit: project, project, key };
      }
      for (const key of project.keys) if (this.#isSuspect(key)) yield { culprit: key, project, key };
    }
  }

  #isSuspect(culprit: Suspect['culprit']): boolean {
    return !culprit.gate.isHealthy && !this.#running.has(culprit);
  }

  async #try(suspect: Suspect, probe: KeyProbe): Promise<void> {
    const { clock, registry } = this.#deps;
    const { culprit, key, project } = suspect;
    const model = culprit.rejectedFor ?? [...registry.modelQueues()][0]?.model;
    if (model === undefined) return;
    const controller = new AbortController();
    this.#running.set(culprit, controller);
    const timer = clock.setTimeout(() => controller.abort(), probeMs, { isBackground: true });
    const late = new Promise<Failure>((resolve) => {
      controller.signal.addEventListener('abort', () => resolve(tookTooLong), { once: true });
    });
    const call = { key: key.leased.value, project: project.name, model };
    const tried = Promise.resolve()
      .then(() => probe(call, { signal: controller.signal }))
      .catch(failedProbe);
    const failure = await Promise.race([tried, late]);
    clock.clearTimeout(timer);
    if (this.#running.get(culprit) !== controller) return;
    if (!culprit.gate.isHealthy) await this.#judge(suspect, failure);
    this.#running.delete(culprit);
    this.arm();
  }

  #judge({ culprit, key, project }: Suspect, failure: Failure | undefined): Promise<void> | undefined {
    const event = { keyId: key.id, project: project.name };
    const scope = culprit === key ? 'key' : 'project';
    return this.#deps.change(culprit.rejectedFor, (now) => {
      if (failure === undefined || scopesProvenBy(failure, true).includes(scope)) {
        // A probe does not prove everything: if the next call is rejected, the next probe comes later.
        culprit.gate.unblock(Number.POSITIVE_INFINITY);
        return [{ type: 'recovered', ...event }];
      }
      const reaction = reactTo(failure);
      const isRejected = reaction.blame === 'key' || reaction.blame === 'project';
      if (isRejected) culprit.strikes += 1;
      const until = now + (isRejected ? rejectedForMs(reaction, culprit.strikes, true) : inconclusiveMs);
      const { reason = failure.message, why = failure.kind } = isRejected ? {} : culprit.gate;
      culprit.gate.block(until, { kind: why, message: reason });
      return [{ type: 'disabled', ...event, reason, until }];
    });
  }
}

const tookTooLong: Failure = { kind: 'timeout', scope: 'call', message: 'The probe got no answer in time.' };

function failedProbe(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'internal', scope: 'call', message: `The probe failed: ${message}` };
}
