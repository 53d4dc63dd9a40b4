import type { Clock } from '../../core/clock.js';
import { KeyPoolExhaustedError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import type { KeyLease, LeaseRequest } from '../../keys/key-pool.js';
import { hedgedReason, type ModelAttempt } from './model-attempt.js';

/** A hedge uses only spare quota, so it gives up soon. */
const longestWaitMs = 1_000;

const needless: Failure = {
  kind: 'incomplete',
  scope: 'call',
  message: 'No second call was needed.',
};
const beaten: Failure = {
  kind: 'incomplete',
  scope: 'call',
  reason: hedgedReason,
  message: 'The call beside it answered first.',
};

export interface Hedge {
  readonly clock: Clock;
  /** How long the first attempt may be silent. */
  readonly afterMs: number;
  readonly acquire: (need: Partial<LeaseRequest>) => Promise<KeyLease>;
  readonly start: (lease: KeyLease) => ModelAttempt;
}

/**
 * Resolves with the attempt that answers first: `first`, or a second one on another project, started if
 * `first` is late and there is quota to spare. Ends the other. Rejects if both fail.
 */
export async function firstToSpeak(first: ModelAttempt, hedge: Hedge): Promise<ModelAttempt> {
  const begun = (attempt: ModelAttempt) => attempt.begin().then(() => attempt);
  if (!(await isLate(first, hedge))) return first;
  const lease = await leaseBeside(first, hedge);
  if (lease === undefined) return begun(first);
  const second = hedge.start(lease);
  try {
    const winner = await Promise.any([begun(first), begun(second)]);
    (winner === first ? second : first).end(beaten);
    return winner;
  } catch (error) {
    throw (error as AggregateError).errors[0];
  }
}

async function isLate(attempt: ModelAttempt, { afterMs, clock }: Hedge): Promise<boolean> {
  let timer: unknown;
  const late = new Promise<boolean>((resolve) => {
    timer = clock.setTimeout(() => resolve(true), afterMs);
  });
  try {
    return await Promise.race([attempt.begin().then(() => false), late]);
  } finally {
    clock.clearTimeout(timer);
  }
}

async function leaseBeside(late: ModelAttempt, { acquire, clock }: Hedge): Promise<KeyLease | undefined> {
  const avoidProject = late.lease.key?.project;
  const deadline = clock.now() + longestWaitMs;
  let lease: KeyLease;
  try {
    lease = await acquire({ priority: 'batch', deadline, avoidProject });
  } catch (error) {
    if (KeyPoolExhaustedError.isInstance(error)) return undefined;
    throw error;
  }
  if (!late.hasBegun && lease.key.project !== avoidProject) return lease;
  lease.settle({ ok: false, failure: needless, sent: false });
  return undefined;
}
