import { type Clock, sleep } from '../../src/core/clock.js';
import { KeyPoolExhaustedError } from '../../src/core/errors.js';
import { isRoutedByPool } from '../../src/core/failure.js';
import type { KeyLease, KeyPool, LeaseRequest } from '../../src/keys/key-pool.js';
import type { RetryPolicy } from '../../src/retry/retry-policy.js';
import { VirtualClock } from '../../src/testing/virtual-clock.js';
import { exponential, logNormal, seededRandom } from './seeded-random.js';
import { type ServiceFaults, type SimulatedProject, SimulatedService } from './simulated-service.js';

export interface TrafficClass {
  readonly tenant: string;
  readonly priority: 'interactive' | 'batch';
  /** Offered load, as a share of the ceiling. */
  readonly load: number;
}

export interface SimulationOptions {
  readonly seed: number;
  readonly window: 'sliding' | 'fixed' | 'bucket';
  readonly projects: readonly SimulatedProject[];
  readonly classes: readonly TrafficClass[];
  readonly durationMs: number;
  readonly deadlineMs: number;
  readonly meanTokens: number;
  readonly faults?: ServiceFaults | undefined;
  readonly createPool: (parts: { clock: Clock; random: () => number }) => KeyPool;
  readonly createRetry: (parts: { random: () => number }) => RetryPolicy;
}

interface ClassResult {
  offered: number;
  succeeded: number;
  failed: number;
  /** From the call to the start of the attempt that succeeded, in milliseconds. */
  readonly waitsMs: number[];
}

export interface SimulationResult {
  readonly classes: Readonly<Record<string, ClassResult>>;
  /** Calls answered in the measured time, as a share of the calls offered or possible, whichever is less. */
  readonly goodput: number;
  readonly rejectionsPerSuccess: number;
  readonly callsPerOffered: number;
  readonly userFailures: number;
  readonly waitP50Ms: number;
  readonly waitP99Ms: number;
}

/** Calls a minute that the quotas admit at most. */
function ceilingPerMinute(projects: readonly SimulatedProject[], meanTokens: number): number {
  return projects.reduce((sum, { rpm, tpm }) => sum + Math.min(rpm, tpm / meanTokens), 0);
}

/** Runs Poisson traffic through a real pool and a real retry policy against the simulated service. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const clock = new VirtualClock();
  const random = seededRandom(options.seed);
  const pool = options.createPool({ clock, random: seededRandom(options.seed + 1) });
  const retry = options.createRetry({ random: seededRandom(options.seed + 2) });
  const { projects, window, faults } = options;
  const service = new SimulatedService({
    clock,
    random: seededRandom(options.seed + 3),
    window,
    projects,
    faults,
  });
  const perMs = ceilingPerMinute(projects, options.meanTokens) / 60_000;
  const startedAt = clock.now();
  const endsAt = startedAt + options.durationMs;
  const classes: Record<string, ClassResult> = {};
  let inTime = 0;

  const request = async (kind: TrafficClass, result: ClassResult) => {
    const since = clock.now();
    const inputTokens = Math.ceil(logNormal(random, options.meanTokens / Math.exp(0.125), 0.5));
    const estimatedTokens = Math.ceil(inputTokens * (0.8 + 0.4 * random()));
    const leaseRequest: LeaseRequest = {
      model: 'gemini-3.8-flash',
      estimatedTokens,
      tenant: kind.tenant,
      priority: kind.priority,
      deadline: since + options.deadlineMs,
      since,
    };
    const startAt = await answer({ pool, retry, clock, service, leaseRequest, inputTokens, since });
    if (startAt === undefined) {
      result.failed += 1;
      return;
    }
    result.succeeded += 1;
    result.waitsMs.push(startAt - since);
    if (startAt <= endsAt) inTime += 1;
  };

  for (const kind of options.classes) {
    const result: ClassResult = { offered: 0, succeeded: 0, failed: 0, waitsMs: [] };
    classes[kind.tenant] = result;
    const arrive = () => {
      if (clock.now() >= endsAt) return;
      result.offered += 1;
      void request(kind, result);
      clock.setTimeout(arrive, exponential(random, 1 / (kind.load * perMs)));
    };
    clock.setTimeout(arrive, exponential(random, 1 / (kind.load * perMs)));
  }
  await clock.advance(options.durationMs + options.deadlineMs + 120_000);

  const all = Object.values(classes);
  const sum = (of: (result: ClassResult) => number) => all.reduce((total, result) => total + of(result), 0);
  const offered = sum((result) => result.offered);
  const succeeded = sum((result) => result.succeeded);
  const waits = all.flatMap((result) => result.waitsMs).sort((a, b) => a - b);
  const ceiling = perMs * options.durationMs;
  return {
    classes,
    goodput: offered < ceiling ? succeeded / offered : inTime / ceiling,
    rejectionsPerSuccess: service.rejections / succeeded,
    callsPerOffered: service.calls / offered,
    userFailures: sum((result) => result.failed) / offered,
    waitP50Ms: waits[Math.floor(waits.length * 0.5)] ?? 0,
    waitP99Ms: waits[Math.floor(waits.length * 0.99)] ?? 0,
  };
}

interface Call {
  readonly pool: KeyPool;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
  readonly service: SimulatedService;
  readonly leaseRequest: LeaseRequest;
  readonly inputTokens: number;
  readonly since: number;
}

/** When the successful attempt began; `undefined` when the call failed. */
async function answer(call: Call): Promise<number | undefined> {
  const { clock, leaseRequest, pool, retry, service } = call;
  let attempt = 0;
  for (;;) {
    let lease: KeyLease;
    try {
      lease = await pool.acquire(leaseRequest);
    } catch (error) {
      if (KeyPoolExhaustedError.isInstance(error)) return undefined;
      throw error;
    }
    const startAt = clock.now();
    const outcome = await service.call(lease.key.value, call.inputTokens);
    lease.settle(outcome);
    if (outcome.ok) return startAt;
    const { failure } = outcome;
    if (failure.scope === 'call' || failure.scope === 'model') attempt += 1;
    const decision = retry.next({
      failure,
      isRoutedByPool: isRoutedByPool(failure),
      model: leaseRequest.model,
      triedModels: [leaseRequest.model],
      attempt,
      elapsedMs: clock.now() - call.since,
      hasEmittedText: false,
      earlierFailures: [],
    });
    if (decision === undefined) return undefined;
    if (decision.delayMs > 0) await sleep(clock, decision.delayMs);
  }
}
