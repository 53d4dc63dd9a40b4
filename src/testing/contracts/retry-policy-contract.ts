import assert from 'node:assert/strict';
import { type Failure, type FailureKind, type FailureScope, isRoutedByPool } from '../../core/failure.js';
import type { RetryContext, RetryPolicy } from '../../retry/retry-policy.js';
import type { ContractCase } from './contract-case.js';

const model = 'contract-model';
const kinds: readonly FailureKind[] = [
  'rate-limit',
  'daily-quota',
  'no-quota',
  'auth',
  'permission',
  'model-unavailable',
  'overloaded',
  'internal',
  'timeout',
  'network',
  'incomplete',
  'invalid-request',
  'too-large',
  'blocked',
  'billing',
];
const scopes: readonly FailureScope[] = ['call', 'key', 'project-model', 'project', 'model'];
/** What the same model would meet again, although others of the kind may pass. */
const metAgain: readonly (readonly [FailureKind, string])[] = [
  ['incomplete', 'MAX_TOKENS'],
  ['timeout', 'FIRST_TOKEN'],
  ['timeout', 'TOTAL'],
];
const maxSaneDelayMs = 10 * 60_000;
const maxSaneAttempts = 1_000;

const contextOf = (failure: Failure, rest: Partial<RetryContext> = {}): RetryContext => ({
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

const failures: readonly Failure[] = kinds.flatMap((kind) =>
  scopes.map((scope) => ({ kind, scope, message: `A ${kind} failure of scope ${scope}.` })),
);

/**
 * What every `RetryPolicy` owes. `create` returns a policy as it would be used; chance may enter only
 * through its own random source.
 *
 * @example
 * ```ts
 * for (const { name, run } of retryPolicyContract(() => new MyPolicy())) it(name, run);
 * ```
 */
export function retryPolicyContract(create: () => RetryPolicy): readonly ContractCase[] {
  const forEachContext = (check: (context: RetryContext, policy: RetryPolicy) => void): void => {
    const policy = create();
    for (const failure of failures) {
      for (const hasEmittedText of [false, true]) {
        for (const attempt of [1, 2, 5, 50]) {
          check(contextOf(failure, { hasEmittedText, attempt }), policy);
          // As for a model that is called without a key.
          check(contextOf(failure, { hasEmittedText, attempt, isRoutedByPool: false }), policy);
        }
      }
    }
  };

  const cases: Record<string, () => void> = {
    'returns a delay from 0 to ten minutes': () =>
      forEachContext((context, policy) => {
        const decision = policy.next(context);
        if (decision === undefined) return;
        const { delayMs } = decision;
        assert.ok(delayMs >= 0 && delayMs <= maxSaneDelayMs, `${context.failure.message} ${delayMs}`);
      }),

    'names no model that was already tried': () =>
      forEachContext((context, policy) => {
        const chosen = policy.next(context)?.model;
        assert.ok(chosen === undefined || !context.triedModels.includes(chosen), context.failure.message);
      }),

    'does not change the context': () =>
      forEachContext((context, policy) => {
        const before = structuredClone(context);
        policy.next(context);
        assert.deepEqual(context, before);
      }),

    'decides independently of earlier calls': () =>
      forEachContext((context, policy) => {
        const [used, fresh] = [policy.next(context), create().next(context)];
        assert.equal(used === undefined, fresh === undefined, context.failure.message);
        assert.equal(used?.model, fresh?.model, context.failure.message);
      }),

    'gives up on what another attempt would meet again': () => {
      for (const kind of ['blocked', 'invalid-request', 'too-large'] as const) {
        assert.equal(create().next(contextOf({ kind, scope: 'call', message: kind })), undefined, kind);
      }
      for (const [kind, reason] of metAgain) {
        const decision = create().next(contextOf({ kind, scope: 'call', reason, message: reason }));
        assert.ok(decision === undefined || (decision.model ?? model) !== model, reason);
      }
    },

    'gives up eventually on a service that never recovers': () => {
      for (const kind of ['overloaded', 'internal', 'timeout', 'network', 'incomplete'] as const) {
        const policy = create();
        const triedModels = [model];
        let attempt = 1;
        let elapsedMs = 0;
        for (let calls = 1; ; calls += 1) {
          assert.ok(calls < maxSaneAttempts, `still tries after ${calls} attempts with ${kind}`);
          const context = {
            model: triedModels.at(-1) ?? model,
            triedModels: [...triedModels],
            attempt,
            elapsedMs,
          };
          const decision = policy.next(contextOf({ kind, scope: 'model', message: kind }, context));
          if (decision === undefined) break;
          elapsedMs += decision.delayMs + 1_000;
          attempt = decision.model === undefined ? attempt + 1 : 1;
          if (decision.model !== undefined) triedModels.push(decision.model);
        }
      }
    },
  };

  return Object.entries(cases).map(([name, check]) => ({
    name,
    async run() {
      check();
    },
  }));
}
