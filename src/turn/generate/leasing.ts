import { ConfigurationError, KeyPoolExhaustedError } from '../../core/errors.js';
import type { KeyLease, KeyPool, LeaseRequest } from '../../keys/key-pool.js';
import type { ModelRoute } from '../model-routes.js';
import type { GenerationDeps, GenerationRequest } from './generation.js';
import type { AttemptLease } from './model-attempt.js';

/** How long a call waits for a project that holds its files already, before they are uploaded to another. */
const maxAffinityWaitMs = 5_000;

/** How long a call looks for a key of a project that it would rather have: no longer than a shared pool takes to grant one. */
const atOnceMs = 20;

/** An interactive call whose turn comes later than this is refused at once, or goes to a fallback model. */
const maxTurnWaitMs = 90_000;

/** For a model that needs no key. */
const noLease: AttemptLease = { settle: () => undefined };

type LeasingStart = Pick<GenerationDeps, 'clock' | 'keyPool'> & Omit<GenerationRequest, 'estimatedTokens'>;

/** Gets the keys for the attempts at one answer. */
export class Leasing {
  readonly #start: LeasingStart;
  #queueMs = 0;

  constructor(start: LeasingStart) {
    this.#start = start;
  }

  /** Waiting for keys, all attempts together. */
  get queueMs(): number {
    return this.#queueMs;
  }

  /** @throws KeyPoolExhaustedError if no key can serve the model in time. */
  async lease(route: ModelRoute, estimatedTokens: number): Promise<AttemptLease> {
    if (!route.model.needsKey) return noLease;
    const { clock, deadline, keyPool, signal, spans, startedAt } = this.#start;
    if (keyPool === undefined) {
      throw new ConfigurationError(
        `The model ${route.name} needs a key, and there is no key pool. Pass \`keys\`.`,
      );
    }
    const need = { model: route.name, estimatedTokens, since: startedAt };
    const queuedAt = clock.now();
    try {
      return await spans.during(
        { kind: 'lease', model: route.name },
        signal,
        async () =>
          (await this.#acquireNear(keyPool, route, need)) ??
          (await this.acquire(keyPool, { ...need, deadline })),
        ({ key }) => ({ keyId: key.id, project: key.project }),
      );
    } finally {
      this.#queueMs += clock.now() - queuedAt;
    }
  }

  acquire(
    keyPool: KeyPool,
    need: Partial<LeaseRequest> & Pick<LeaseRequest, 'model' | 'estimatedTokens'>,
  ): Promise<KeyLease> {
    const { priority, signal, tenant } = this.#start;
    const patience = priority === 'interactive' ? { maxWaitMs: maxTurnWaitMs } : {};
    return keyPool.acquire({ tenant, priority, ...patience, ...need }, { signal });
  }

  /**
   * A key of the project that holds the files of the request, where one is free soon; else one of the project that
   * answered the step before, where one is free at once.
   */
  async #acquireNear(
    keyPool: KeyPool,
    { model }: ModelRoute,
    need: Parameters<Leasing['acquire']>[1],
  ): Promise<KeyLease | undefined> {
    const { clock, deadline, preferProject, request } = this.#start;
    const [owner] = model.projectsWith?.(request) ?? [];
    const project = owner ?? preferProject;
    if (project === undefined) return undefined;
    const patienceMs = owner === undefined ? atOnceMs : maxAffinityWaitMs;
    const soon = Math.min(deadline, clock.now() + patienceMs);
    try {
      return await this.acquire(keyPool, { ...need, deadline: soon, project });
    } catch (error) {
      if (KeyPoolExhaustedError.isInstance(error)) return undefined;
      throw error;
    }
  }
}
