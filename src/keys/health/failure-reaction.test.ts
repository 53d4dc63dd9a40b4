import { describe, expect, it } from 'vitest';
import { type Failure, type FailureKind, type FailureScope, isRoutedByPool } from '../../core/failure.js';
import { reactTo } from './failure-reaction.js';

const kinds: readonly FailureKind[] = [
  'rate-limit',
  'daily-quota',
  'no-quota',
  'auth',
  'permission',
  'billing',
  'model-unavailable',
  'overloaded',
  'network',
  'timeout',
  'internal',
  'incomplete',
  'invalid-request',
  'too-large',
  'blocked',
];
const scopes: readonly FailureScope[] = ['call', 'key', 'project-model', 'project', 'model'];
const failures: readonly Failure[] = kinds.flatMap((kind) =>
  scopes.map((scope) => ({ kind, scope, message: 'Failed for a test.' })),
);

describe('reactTo', () => {
  it('blocks a key, project or quota, and refunds the call, for every failure that the pool routes around', () => {
    for (const failure of failures.filter(isRoutedByPool)) {
      const { blame, refund } = reactTo(failure);
      expect(['key', 'project-model', 'project'], `${failure.kind} of ${failure.scope}`).toContain(blame);
      expect(refund).toBe(true);
    }
  });

  it('blocks no key, project or quota for a failure of the call', () => {
    for (const failure of failures.filter(({ scope }) => scope === 'call')) {
      expect(['call', 'model'], failure.kind).toContain(reactTo(failure).blame);
    }
  });

  it.each([
    ['an invalid key', { kind: 'auth', scope: 'key', reason: 'API_KEY_INVALID' }, 300_000, 1],
    ['a leaked key', { kind: 'auth', scope: 'key', reason: 'API_KEY_LEAKED' }, Number.POSITIVE_INFINITY, 0],
    ['an expired key', { kind: 'auth', scope: 'key', reason: 'API_KEY_EXPIRED' }, 300_000, 1],
    ['a restricted key', { kind: 'permission', scope: 'key' }, 3_600_000, Number.POSITIVE_INFINITY],
    [
      'a disabled service',
      { kind: 'permission', scope: 'project', reason: 'SERVICE_DISABLED' },
      300_000,
      Number.POSITIVE_INFINITY,
    ],
  ] as const)('blocks %s for the documented time', (_, failure, blockMs, probes) => {
    expect(reactTo({ message: 'Failed for a test.', ...failure })).toMatchObject({
      blame: failure.scope,
      blockMs,
      probes,
    });
  });
});
