import { describe, expect, it } from 'vitest';
import type { Failure } from '../../core/failure.js';
import { detectFixedWindow } from './detect-fixed-window.js';
import { SlidingLog } from './sliding-log.js';

const now = 1_000_000;

function refusal(learned: Failure['learned'], retryAfterMs?: number): Failure {
  return { kind: 'rate-limit', scope: 'project-model', message: 'Refused.', learned, retryAfterMs };
}

function logOf(requests: number, tokens: number): SlidingLog {
  const log = new SlidingLog(60_000);
  for (let i = 0; i < requests; i += 1) log.add(tokens, now - 1_000);
  return log;
}

describe('detectFixedWindow', () => {
  it.each([
    [
      'detects fixed minutes when twice the requests were admitted',
      refusal({ rpm: 100 }, 30_000),
      200,
      10,
      0,
      true,
    ],
    [
      'detects fixed minutes when twice the tokens were admitted',
      refusal({ tpm: 100_000 }, 30_000),
      200,
      1_000,
      0,
      true,
    ],
    ['detects nothing when the limit was just reached', refusal({ rpm: 100 }, 30_000), 100, 10, 0, false],
    [
      'detects nothing when the calls in flight explain the excess',
      refusal({ rpm: 100 }, 30_000),
      140,
      10,
      40,
      false,
    ],
    ['detects nothing when the delay suits a token bucket', refusal({ rpm: 100 }, 600), 200, 10, 0, false],
    ['detects nothing when the refusal names no limit', refusal(undefined, 30_000), 200, 10, 0, false],
    ['detects nothing when the refusal names no delay', refusal({ rpm: 100 }), 200, 10, 0, false],
  ] as const)('%s', (_, failure, requests, tokens, inFlight, expected) => {
    expect(detectFixedWindow(failure, logOf(requests, tokens), inFlight, now)).toBe(expected);
  });
});
