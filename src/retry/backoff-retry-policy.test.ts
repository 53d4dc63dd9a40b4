import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../core/errors.js';
import { type Failure, type FailureKind, type FailureScope, isRoutedByPool } from '../core/failure.js';
import { retryPolicyContract } from '../testing/contracts/retry-policy-contract.js';
import { BackoffRetryPolicy } from './backoff-retry-policy.js';
import type { BackoffRetryPolicyOptions } from './backoff-retry-policy-options.js';
import type { RetryContext, RetryDecision } from './retry-policy.js';

const model = 'first-choice';
const fallback = 'second-choice';

function decide(
  kind: FailureKind,
  scope: FailureScope,
  context: Partial<RetryContext> & { reason?: string; retryAfterMs?: number } = {},
  options: BackoffRetryPolicyOptions = {},
): RetryDecision | undefined {
  const { reason, retryAfterMs, ...rest } = context;
  const failure = { kind, scope, message: 'Failed for a test.', reason, retryAfterMs };
  return new BackoffRetryPolicy({ random: () => 0.5, baseDelayMs: 1_000, ...options }).next({
    failure,
    isRoutedByPool: isRoutedByPool(failure),
    model,
    triedModels: [model],
    attempt: 1,
    elapsedMs: 0,
    hasEmittedText: false,
    earlierFailures: [],
    ...rest,
  });
}

const atOnce = { delayMs: 0 };
const later = { delayMs: 500 };
const next = { delayMs: 0, model: fallback };
const never = undefined;

type Row = readonly [FailureKind, FailureScope, RetryDecision | undefined, RetryDecision | undefined];

/** The decision on a first failure with a key pool: without a fallback model, and with one. */
const table: readonly Row[] = [
  ['rate-limit', 'call', never, never],
  ['rate-limit', 'key', atOnce, atOnce],
  ['rate-limit', 'project-model', atOnce, atOnce],
  ['rate-limit', 'project', atOnce, atOnce],
  ['rate-limit', 'model', never, next],
  ['daily-quota', 'project-model', atOnce, atOnce],
  ['daily-quota', 'project', atOnce, atOnce],
  ['daily-quota', 'model', never, next],
  ['no-quota', 'project-model', atOnce, atOnce],
  ['no-quota', 'model', never, next],
  ['auth', 'key', atOnce, atOnce],
  ['auth', 'project', atOnce, atOnce],
  ['auth', 'call', never, never],
  ['permission', 'key', atOnce, atOnce],
  ['permission', 'project-model', atOnce, atOnce],
  ['permission', 'project', atOnce, atOnce],
  ['permission', 'call', never, never],
  ['billing', 'project', atOnce, atOnce],
  ['billing', 'key', atOnce, atOnce],
  ['model-unavailable', 'model', never, next],
  ['model-unavailable', 'project-model', never, next],
  ['overloaded', 'model', later, later],
  ['overloaded', 'call', later, later],
  ['internal', 'model', later, later],
  ['internal', 'call', later, later],
  ['timeout', 'call', later, later],
  ['timeout', 'model', later, later],
  ['network', 'call', later, later],
  ['incomplete', 'call', later, next],
  ['blocked', 'call', never, never],
  ['invalid-request', 'call', never, never],
  ['too-large', 'call', never, never],
];

/** The same for a model that was called without a key: no pool routes around the failure. */
const tableWithoutPool: readonly Row[] = [
  ['rate-limit', 'call', never, never],
  ['rate-limit', 'key', later, later],
  ['rate-limit', 'project-model', later, later],
  ['rate-limit', 'project', later, later],
  ['rate-limit', 'model', never, next],
  ['daily-quota', 'project-model', never, next],
  ['no-quota', 'project-model', never, next],
  ['auth', 'key', never, next],
  ['auth', 'call', never, never],
  ['permission', 'key', never, next],
  ['permission', 'project', never, next],
  ['billing', 'project', never, next],
  ...table.filter(([kind]) => !isRoutedByPool({ kind, scope: 'key' })),
];

describe('BackoffRetryPolicy', () => {
  for (const { name, run } of retryPolicyContract(
    () => new BackoffRetryPolicy({ fallbackModels: [fallback] }),
  )) {
    it(name, run);
  }

  describe.each([false, true])('after text was shown: %s', (hasEmittedText) => {
    it.each(table)('decides on %s of scope %s', (kind, scope, alone, withFallback) => {
      expect(decide(kind, scope, { hasEmittedText })).toEqual(alone);
      expect(decide(kind, scope, { hasEmittedText }, { fallbackModels: [fallback] })).toEqual(withFallback);
    });

    it.each(tableWithoutPool)(
      'decides without a pool on %s of scope %s',
      (kind, scope, alone, withFallback) => {
        const context = { hasEmittedText, isRoutedByPool: false };
        expect(decide(kind, scope, context)).toEqual(alone);
        expect(decide(kind, scope, context, { fallbackModels: [fallback] })).toEqual(withFallback);
      },
    );
  });

  it('backs off from a rate limit without a pool as long as the service asks, five times, then falls back', () => {
    const options = { fallbackModels: [fallback] };
    const decideOn = (attempt: number) =>
      decide('rate-limit', 'project-model', { attempt, isRoutedByPool: false, retryAfterMs: 7_000 }, options);
    const waits = { delayMs: 7_000 };
    expect([1, 2, 3, 4, 5].map(decideOn)).toEqual([waits, waits, waits, waits, next]);
  });

  it('takes the next model rather than wait longer than `maxDelayMs` for a service', () => {
    const context = { retryAfterMs: 60_000, isRoutedByPool: false };
    expect(decide('rate-limit', 'project', context, { fallbackModels: [fallback] })).toEqual(next);
    expect(decide('rate-limit', 'project', context)).toEqual({ delayMs: 60_000 });
  });

  it.each(table)(
    'gives up on %s of scope %s after text was shown with `onPartialOutput: fail`',
    (kind, scope) => {
      const options = { onPartialOutput: 'fail', fallbackModels: [fallback] } as const;
      expect(decide(kind, scope, { hasEmittedText: true }, options)).toBeUndefined();
    },
  );

  it('gives up on an unsupported location, which is the same for every key and model', () => {
    expect(decide('permission', 'call', {}, { fallbackModels: [fallback] })).toBeUndefined();
  });

  it('doubles the upper bound with each attempt up to the maximum', () => {
    const delays = [1, 2, 3, 4, 5, 6].map(
      (attempt) =>
        decide('internal', 'model', { attempt }, { maxAttempts: 9, maxDelayMs: 10_000, random: () => 0.999 })
          ?.delayMs,
    );
    expect(delays).toEqual([999, 1_998, 3_996, 7_992, 9_990, 9_990]);
  });

  it('draws the delay from the whole range below the upper bound', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.integer({ min: 1, max: 4 }),
        (chance, attempt) => {
          const delayMs = decide('network', 'call', { attempt }, { random: () => chance })?.delayMs;
          expect(delayMs).toBe(Math.floor(chance * 1_000 * 2 ** (attempt - 1)));
        },
      ),
    );
  });

  it('waits at least as long as the service asks', () => {
    expect(decide('overloaded', 'model', { retryAfterMs: 7_000 })).toEqual({ delayMs: 7_000 });
  });

  it.each<FailureKind>(['internal', 'timeout'])(
    'after %s makes five attempts in all, then takes the next model',
    (kind) => {
      const options = { fallbackModels: [fallback] };
      expect(decide(kind, 'model', { attempt: 4, elapsedMs: 60_000 })).toBeDefined();
      expect(decide(kind, 'model', { attempt: 5, elapsedMs: 60_000 })).toBeUndefined();
      expect(decide(kind, 'model', { attempt: 5, elapsedMs: 60_000 }, options)).toEqual(next);
    },
  );

  describe.each<[string, Partial<Failure>]>([
    ['an answer without an end', { kind: 'incomplete', reason: 'NO_FINISH_REASON' }],
    ['a reset', { kind: 'network', reason: 'ECONNRESET' }],
    ['silence', { kind: 'timeout', reason: 'BETWEEN_CHUNKS' }],
    ['an error of the service', { kind: 'internal', status: 500 }],
    ['an overload', { kind: 'overloaded', status: 503 }],
  ])('after %s in the middle of an answer', (_, fault) => {
    const brokenAt = (brokeOffAt: number): Failure => ({
      ...{ kind: 'incomplete', scope: 'call', message: 'Broken.' },
      ...fault,
      brokeOffAt,
    });
    const decideOn = (
      failure: Failure,
      context: Partial<RetryContext> = {},
      options: BackoffRetryPolicyOptions = { fallbackModels: [fallback] },
    ) => decide(failure.kind, 'call', { failure, hasEmittedText: true, ...context }, options);

    it('asks once more: another model if there is one and the answer can start again', () => {
      expect(decideOn(brokenAt(100))).toEqual(next);
      expect(decideOn(brokenAt(100), {}, {})).toEqual(later);
      expect(decideOn(brokenAt(100), { isBound: true })).toEqual(later);
    });

    it.each([
      ['the same model', [model], 2],
      ['another model', [model, fallback], 1],
    ])('gives up once %s breaks off at the same place', (_name, triedModels, attempt) => {
      const context = { earlierFailures: [brokenAt(100)], triedModels, attempt };
      for (const place of [100, 92, 110]) expect(decideOn(brokenAt(place), context)).toBeUndefined();
    });

    it('goes on, up to five attempts, as long as the place is another', () => {
      const context = { earlierFailures: [brokenAt(10), brokenAt(200)] };
      expect(decideOn(brokenAt(100), { ...context, attempt: 3 }, {})).toBeDefined();
      expect(decideOn(brokenAt(100), { ...context, attempt: 5 }, {})).toBeUndefined();
    });

    it('makes no further call with `maxAttempts: 1` and no other model', () => {
      expect(decideOn(brokenAt(100), {}, { maxAttempts: 1 })).toBeUndefined();
    });
  });

  it('tells a reply that breaks off from a connection that is not made', () => {
    const reset = { kind: 'network', scope: 'call', message: 'Reset.', reason: 'ECONNRESET' } as const;
    const decideAfter = (failure: Failure) =>
      decide('network', 'call', { failure, attempt: 2, earlierFailures: [failure] });
    expect(decideAfter({ ...reset, brokeOffAt: 0 })).toBeUndefined();
    expect(decideAfter(reset)).toBeDefined();
  });

  it('asks the same model again for what is about no answer, once', () => {
    const failure = { kind: 'incomplete', scope: 'call', message: 'No such file.', status: 403 } as const;
    const options = { fallbackModels: [fallback] };
    expect(decide('incomplete', 'call', { failure }, options)).toEqual(later);
    expect(
      decide('incomplete', 'call', { failure, attempt: 2, earlierFailures: [failure] }, options),
    ).toBeUndefined();
  });

  it.each<[FailureKind, string, RetryDecision | undefined, RetryDecision | undefined, number]>([
    ['incomplete', 'MAX_TOKENS', never, never, 1],
    ['incomplete', 'EMPTY_ANSWER', later, next, 1],
    ['timeout', 'FIRST_TOKEN', never, next, 1],
    ['timeout', 'TOTAL', never, next, 1],
    ['timeout', 'BETWEEN_CHUNKS', later, next, 1],
  ])('decides on %s of reason %s', (kind, reason, alone, withFallback, attempt) => {
    expect(decide(kind, 'call', { attempt, reason })).toEqual(alone);
    expect(decide(kind, 'call', { attempt, reason }, { fallbackModels: [fallback] })).toEqual(withFallback);
  });

  it('makes a single further call for an empty answer, whichever model gave the first', () => {
    const triedModels = [model, fallback];
    const options = { fallbackModels: [fallback, 'third-choice'] };
    const empty = { kind: 'incomplete', scope: 'call', message: 'Empty.', reason: 'EMPTY_ANSWER' } as const;
    const context = { triedModels, reason: 'EMPTY_ANSWER' };
    const decideAfter = (earlier: Failure) =>
      decide('incomplete', 'call', { ...context, earlierFailures: [earlier] }, options);
    expect(decideAfter(empty)).toBeUndefined();
    expect(decideAfter({ ...empty, kind: 'overloaded', reason: undefined })).toEqual({
      delayMs: 0,
      model: 'third-choice',
    });
  });

  it.each<FailureKind>(['invalid-request', 'too-large'])(
    'goes on after %s of a fallback model, as long as there is another',
    (kind) => {
      const triedModels = [model, fallback];
      const options = { fallbackModels: [fallback, 'third-choice'] };
      expect(decide(kind, 'call', { triedModels }, options)).toEqual({ delayMs: 0, model: 'third-choice' });
      expect(decide(kind, 'call', { triedModels }, { fallbackModels: [fallback] })).toBeUndefined();
    },
  );

  it('takes the next model after a model is overloaded twice', () => {
    expect(decide('overloaded', 'model', { attempt: 2 }, { fallbackModels: [fallback] })).toEqual(next);
  });

  it.each<FailureKind>(['overloaded', 'network'])(
    'retries after %s for half a minute if there is no other model, whatever the attempts',
    (kind) => {
      expect(decide(kind, 'model', { attempt: 12, elapsedMs: 29_000 })).toBeDefined();
      expect(decide(kind, 'model', { attempt: 12, elapsedMs: 31_000 })).toBeUndefined();
      expect(decide(kind, 'model', { attempt: 3, elapsedMs: 1_000 }, { maxAttempts: 3 })).toBeUndefined();
    },
  );

  it.each(['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])(
    'gives up on a service that cannot be reached (%s) within ten seconds, delay included',
    (reason) => {
      const decideAt = (elapsedMs: number, options: BackoffRetryPolicyOptions = {}) =>
        decide('network', 'call', { attempt: 8, elapsedMs, reason }, { random: () => 0, ...options });
      expect(decideAt(8_900)).toBeDefined();
      // A key pool may hold the retry back for a second.
      expect(decideAt(9_000)).toBeUndefined();
      expect(decideAt(8_900, { random: () => 0.5 })).toBeUndefined();
      expect(decideAt(50_000, { patienceMs: 60_000 })).toBeDefined();
      expect(
        decide('network', 'call', { attempt: 8, elapsedMs: 29_000, reason: 'ECONNRESET' }),
      ).toBeDefined();
    },
  );

  it('takes the fallback models in their order, each once', () => {
    const options = { fallbackModels: [fallback, 'third-choice'] };
    expect(decide('model-unavailable', 'model', {}, options)?.model).toBe(fallback);
    expect(decide('model-unavailable', 'model', { triedModels: [model, fallback] }, options)?.model).toBe(
      'third-choice',
    );
    const all = { triedModels: [model, fallback, 'third-choice'] };
    expect(decide('model-unavailable', 'model', all, options)).toBeUndefined();
  });

  it.each<[string, object]>([
    ['maxAttempts', { maxAttempts: 0 }],
    ['patienceMs', { patienceMs: -1 }],
    ['baseDelayMs', { baseDelayMs: '1s' }],
    ['maxDelayMs', { maxDelayMs: 0 }],
    ['fallbackModels', { fallbackModels: 'second-choice' }],
    ['onPartialOutput', { onPartialOutput: 'resume' }],
    ['random', { random: 0.5 }],
    ['maxRetries', { maxRetries: 3 }],
  ])('refuses a wrong or unknown %s', (option, options) => {
    expect(() => new BackoffRetryPolicy(options)).toThrow(ConfigurationError);
    expect(() => new BackoffRetryPolicy(options)).toThrow(option);
  });
});
