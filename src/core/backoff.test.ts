import { describe, expect, it } from 'vitest';
import { ExponentialBackoff, exponentialDelayMs } from './backoff.js';

const options = { initialMs: 500, maxMs: 3_000 };

describe('exponentialDelayMs', () => {
  it.each([
    [0, 500],
    [1, 500],
    [2, 1_000],
    [3, 2_000],
    [4, 3_000],
    [2_000, 3_000],
  ])('is, before retry %i, %i ms', (attempt, expected) => {
    expect(exponentialDelayMs(attempt, options)).toBe(expected);
  });
});

describe('ExponentialBackoff', () => {
  it('doubles until it is reset', () => {
    const backoff = new ExponentialBackoff(options);
    expect([backoff.next(), backoff.next(), backoff.next(), backoff.next()]).toEqual([
      500, 1_000, 2_000, 3_000,
    ]);
    backoff.reset();
    expect(backoff.next()).toBe(500);
  });
});
