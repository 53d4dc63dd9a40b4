import type { KeyEvent } from '../key-pool.js';
import type { ProjectModelQuota } from '../quota/project-model-quota.js';
import { dispatch } from '../scheduler/dispatch.js';
import { countRunning, type Grant, openGrant } from '../scheduler/grant.js';
import type { LeaseDesk } from '../scheduler/lease-desk.js';
import type { ModelQueue } from '../scheduler/model-queue.js';
import type { Waiter } from '../scheduler/wait-queue.js';

/** Poll interval while blocked on another process's calls or probes. */
const pollMs = 250;
/** Spreads the requests of processes that wait for the same slot. */
const jitterMs = 20;

/** A change of the shared state. It is repeated on the state of another process if that was faster. */
export interface Change {
  readonly grant?: Grant;
  readonly run: (now: number) => readonly KeyEvent[];
  /** Whether it can wait for the next request, at the latest that of the heartbeat. */
  readonly isLazy?: boolean;
  /** Called once the change is in Redis. */
  readonly done?: () => void;
  /** Whether it was made without Redis already, and its events are emitted. */
  readonly isMade?: boolean;
}

/** What the scheduler has decided, and does once Redis has it. */
export interface Step {
  readonly grants: { readonly waiter: Waiter; readonly grant: Grant }[];
  readonly refusals: { readonly waiter: Waiter; readonly error: Error }[];
  readonly events: KeyEvent[];
  readonly touched: Set<ProjectModelQuota>;
  /** Waiters that were judged for the first time. */
  readonly arrivals: readonly Waiter[];
}

/** Makes the changes on the state at hand, as if nobody else had changed it. */
export function beginStep({ waiters }: ModelQueue, changes: readonly Change[], now: number): Step {
  const arrivals = [...waiters.arrivals];
  const step: Step = { grants: [], refusals: [], events: [], touched: new Set(), arrivals };
  for (const { grant, isMade, run } of changes) {
    const events = run(now);
    if (!isMade) step.events.push(...events);
    if (grant !== undefined) step.touched.add(grant.quota.current);
  }
  return step;
}

export interface OfferOptions {
  readonly desk: LeaseDesk;
  readonly maxWaitMs: number;
  readonly random: () => number;
  /** Live processes, this one included. */
  readonly processes: number;
  readonly mostGrants: number;
}

/** Adds what the waiting calls get. */
export function offer(step: Step, modelQueue: ModelQueue, now: number, options: OfferOptions): void {
  const { desk, maxWaitMs, mostGrants, processes, random } = options;
  let pollAt = Number.POSITIVE_INFINITY;
  dispatch(modelQueue, now, {
    maxWaitMs,
    hasRoom: () => step.grants.length < mostGrants,
    projectOf: ({ project }) => desk.registry.projectName(project),
    grant: (waiter, quota, paced) => {
      const grant = openGrant(modelQueue, quota, waiter, paced, now);
      if (grant === undefined) return;
      step.touched.add(quota);
      step.grants.push({ waiter, grant });
    },
    hold: (quota, at, paced) => {
      const hasPeers = processes > 1 || quota.othersInFlight > 0;
      if (at <= now && hasPeers) pollAt = now + pollMs;
      if (processes === 1 || at === Number.POSITIVE_INFINITY) return;
      quota.claim(at, paced, now);
      step.touched.add(quota);
    },
    refuse: (waiter, at) => {
      step.refusals.push({ waiter, error: desk.refusal(modelQueue, waiter, now, at) });
    },
  });
  const jitter = processes > 1 ? random() * jitterMs : 0;
  modelQueue.wakeAt = Math.min(modelQueue.wakeAt + jitter, pollAt);
}

/** The step did not reach Redis. */
export function undo({ grants }: Step): void {
  for (const { grant } of grants) countRunning(grant.quota.current, grant.key, -1);
}
