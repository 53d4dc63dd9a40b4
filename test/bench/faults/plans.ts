import type { FaultName, Injection } from 'multimodal-chat/testing';

/** `refuse` is done here, by closing the port together with every connection, for as long as it takes. */
export type PlanName = FaultName | 'none';

/** How a fault strikes for a part of the calls. */
export type Share =
  /** So large a part of the calls, drawn by a seed. */
  | { readonly of: 'calls'; readonly part: number }
  /** All calls with the keys of the first project, which has two of the six. */
  | { readonly of: 'project' }
  /** All calls of the first model. */
  | { readonly of: 'model' }
  /** All calls, for so large a part of the time. */
  | { readonly of: 'time'; readonly part: number };

export interface Plan {
  readonly fault: PlanName;
  readonly share: Share;
  /** Codes of errors that are right under this fault; none where every request can be answered. */
  readonly errors: readonly string[];
  /** Settings of the fault when it strikes a part of the calls. */
  readonly mild?: Partial<Injection>;
  /** Settings of the fault when it strikes all calls. */
  readonly hard?: Partial<Injection>;
  /** The form that right answers may have beside the whole one. */
  readonly form?: 'half' | 'big';
  /** Until when the pool leaves keys or models alone after the fault, where that is longer than a run. */
  readonly heldOut?: string;
  /** Requests at once. Default that of the run. */
  readonly inFlight?: number;
}

const fifth: Share = { of: 'calls', part: 0.2 };
/** A part so small that few answers break twice, which is more than a retry is for. */
const twentieth: Share = { of: 'calls', part: 0.05 };
const project: Share = { of: 'project' };

/** The pool has no key in time, or the call's time is up while it waits or tries again. */
const unserved = ['KEY_POOL_EXHAUSTED', 'TIMEOUT'];
/** Faults of time and of the network, which also end an answer that has begun. */
const brokenOff = [...unserved, 'MODEL_TIMEOUT', 'INCOMPLETE_REPLY'];
const incomplete = ['MODEL_INCOMPLETE', 'INCOMPLETE_REPLY'];
const second = { delayMs: 1_000 };

const plan = (fault: PlanName, share: Share, errors: readonly string[], rest: Partial<Plan> = {}): Plan => ({
  fault,
  share,
  errors,
  ...rest,
});

/** What each fault does to the load, and what may come of it. */
export const plans: readonly Plan[] = [
  plan('none', fifth, []),
  plan('bad-key', project, [...unserved, 'MODEL_AUTH'], { heldOut: '5 min' }),
  plan('expired-key', project, [...unserved, 'MODEL_AUTH'], { heldOut: '5 min' }),
  plan('restricted-key', project, [...unserved, 'MODEL_PERMISSION'], { heldOut: 'for good' }),
  plan('leaked-key', project, [...unserved, 'MODEL_AUTH'], { heldOut: 'for good' }),
  plan('suspended', project, [...unserved, 'MODEL_PERMISSION'], { heldOut: 'for good' }),
  plan('service-disabled', project, [...unserved, 'MODEL_PERMISSION'], { heldOut: '5 min' }),
  plan('rate-limit', fifth, [...unserved, 'MODEL_RATE_LIMIT'], { mild: second, hard: second }),
  plan('token-limit', fifth, [...unserved, 'MODEL_RATE_LIMIT'], { mild: second, hard: second }),
  plan('rate-limit-bare', fifth, [...unserved, 'MODEL_RATE_LIMIT']),
  plan('daily-quota', project, [...unserved, 'MODEL_DAILY_QUOTA'], { heldOut: '1 h' }),
  plan('no-quota', project, [...unserved, 'MODEL_NO_QUOTA'], { heldOut: '24 h' }),
  plan('overloaded', fifth, [...unserved, 'MODEL_OVERLOADED']),
  plan('internal', fifth, [...unserved, 'MODEL_INTERNAL']),
  plan('deadline', fifth, [...unserved, 'MODEL_TIMEOUT']),
  plan('model-not-found', { of: 'model' }, [...unserved, 'MODEL_MODEL_UNAVAILABLE'], { heldOut: '10 min' }),
  plan('refuse', { of: 'time', part: 0.2 }, [...brokenOff, 'MODEL_NETWORK']),
  plan('reset-before-headers', fifth, [...unserved, 'MODEL_NETWORK']),
  plan('reset-mid-body', fifth, [...brokenOff, 'MODEL_NETWORK']),
  plan('slow-first-byte', fifth, brokenOff, { mild: { delayMs: 400 }, hard: { delayMs: 3_000 } }),
  plan('stall', twentieth, brokenOff),
  plan('trickle', fifth, []),
  plan('split-utf8', fifth, []),
  plan('crlf', fifth, []),
  plan('html-error', fifth, [...unserved, 'MODEL_INTERNAL']),
  plan('wrong-content-type', fifth, []),
  plan('truncated-json', twentieth, incomplete),
  plan('no-finish', twentieth, incomplete),
  plan('event-error', fifth, [...unserved, 'MODEL_OVERLOADED', 'INCOMPLETE_REPLY']),
  plan('error-in-stream', fifth, [...unserved, 'MODEL_OVERLOADED', 'INCOMPLETE_REPLY']),
  plan('duplicate-chunks', fifth, []),
  plan('thoughts-only', twentieth, incomplete),
  plan('empty-candidates', twentieth, incomplete),
  plan('empty-body', twentieth, incomplete),
  plan('safety', fifth, ['BLOCKED']),
  plan('prompt-blocked', fifth, ['BLOCKED']),
  plan('unknown-block', fifth, ['BLOCKED']),
  plan('recitation', fifth, ['BLOCKED']),
  plan('max-tokens', fifth, [], { form: 'half' }),
  plan('unknown-finish', fifth, []),
  plan('big-chunk', fifth, [], { form: 'big', inFlight: 2 }),
  // What comes after the end of a whole answer, or how its end is told, changes nothing.
  plan('done-marker', fifth, []),
  plan('done-marker-lf', fifth, []),
  plan('open-end', fifth, []),
  plan('reset-after-end', fifth, []),
  plan('rubbish-after-end', fifth, []),
  plan('error-after-end', fifth, []),
  plan('unspecified-finish', fifth, []),
  plan('repeated-finish', fifth, []),
  plan('late-usage', fifth, []),
  plan('json-array', fifth, []),
  plan('json-object', fifth, []),
  plan('ndjson', fifth, []),
  plan('slow-thinking', fifth, brokenOff, { mild: { delayMs: 400 }, hard: { delayMs: 3_000 } }),
  plan('invalid-argument', fifth, ['MODEL_INVALID_REQUEST']),
  // The conversation heals: it goes on without its signatures.
  plan('corrupted-signature', fifth, []),
  plan('invalid-signature', fifth, []),
  plan('spend-limit', project, [...unserved, 'MODEL_RATE_LIMIT'], { heldOut: '10 min' }),
  // A gateway says nothing about Gemini's keys: none is blamed or switched off, and no call waits for one.
  plan('gateway-unauthorized', fifth, ['MODEL_PERMISSION']),
  plan('gateway-forbidden', fifth, ['MODEL_PERMISSION']),
  plan('gateway-rate-limit', fifth, [...unserved, 'MODEL_RATE_LIMIT']),
  plan('gateway-unavailable', fifth, [...unserved, 'MODEL_OVERLOADED']),
  plan('gateway-sign-in', fifth, [...unserved, 'MODEL_INVALID_REQUEST', 'MODEL_INTERNAL']),
];

/** The status that belongs to each code, written down here anew and not taken from the server. */
export const statusOf: Readonly<Record<string, number>> = {
  BLOCKED: 422,
  INCOMPLETE_REPLY: 502,
  KEY_POOL_EXHAUSTED: 503,
  MODEL_AUTH: 502,
  MODEL_DAILY_QUOTA: 503,
  MODEL_INCOMPLETE: 502,
  MODEL_INTERNAL: 502,
  MODEL_INVALID_REQUEST: 400,
  MODEL_MODEL_UNAVAILABLE: 502,
  MODEL_NETWORK: 502,
  MODEL_NO_QUOTA: 502,
  MODEL_OVERLOADED: 503,
  MODEL_PERMISSION: 502,
  MODEL_RATE_LIMIT: 503,
  MODEL_TIMEOUT: 504,
  TIMEOUT: 504,
};

/** Four projects with six keys. */
export const projects = [
  { id: 'alpha', keys: ['faults-key-alpha-000001', 'faults-key-alpha-000002'] },
  { id: 'beta', keys: ['faults-key-beta-0000003', 'faults-key-beta-0000004'] },
  { id: 'gamma', keys: ['faults-key-gamma-000005'] },
  { id: 'delta', keys: ['faults-key-delta-000006'] },
];

export const models = ['gemini-3.8-flash', 'gemini-3.5-flash-lite'] as const;

export interface Limits {
  readonly firstTokenMs: number;
  readonly betweenChunksMs: number;
  readonly callMs: number;
}

/**
 * Faults that every request survives leave it all the time it wants, so that an error can only be wrong. Only
 * faults of time have short limits of silence: elsewhere these would measure how busy the machine is.
 */
export function limitsOf({ errors }: Plan, quick: boolean): Limits {
  const callMs = errors.includes('TIMEOUT') ? (quick ? 4_000 : 5_000) : 30_000;
  const isSilent = errors.includes('MODEL_TIMEOUT');
  const silenceMs = isSilent ? (quick ? 1_500 : 1_000) : Math.min(callMs, 20_000);
  return { firstTokenMs: silenceMs, betweenChunksMs: silenceMs, callMs };
}
