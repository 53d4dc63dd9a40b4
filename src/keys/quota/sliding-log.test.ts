import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LogEntry, SlidingLog } from './sliding-log.js';

const windowMs = 60_000;

const steps = fc.array(
  fc.record({
    waitMs: fc.integer({ min: 0, max: 20_000 }),
    tokens: fc.integer({ min: 0, max: 400 }),
    fate: fc.constantFrom('keep', 'refund', 'amend'),
  }),
  { maxLength: 300 },
);

/** Plays the steps, admitting only what the log has room for. */
function play(
  script: readonly { waitMs: number; tokens: number; fate: string }[],
  maxRequests: number,
  maxTokens: number,
) {
  const log = new SlidingLog(windowMs);
  const admitted: LogEntry[] = [];
  let now = 0;
  for (const { waitMs, tokens, fate } of script) {
    now += waitMs;
    if (log.freeAt(tokens, maxRequests, maxTokens, now) > now) continue;
    const entry = log.add(tokens, now);
    admitted.push(entry);
    if (fate === 'refund') log.refund(entry, now);
    if (fate === 'amend') log.amend(entry, Math.floor(tokens / 2), now);
  }
  return { log, admitted, now };
}

describe('SlidingLog', () => {
  it('never admits more than the limits in any window', () => {
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 400, max: 2_000 }),
        (script, rpm, tpm) => {
          const { admitted } = play(script, rpm, tpm);
          for (const first of admitted) {
            const inWindow = admitted.filter(({ at }) => at >= first.at && at < first.at + windowMs);
            expect(inWindow.reduce((sum, { requests }) => sum + requests, 0)).toBeLessThanOrEqual(rpm);
            expect(inWindow.reduce((sum, { tokens }) => sum + tokens, 0)).toBeLessThanOrEqual(tpm);
          }
        },
      ),
    );
  });

  it('finds the first moment at which a request fits, and not a moment before', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 0, max: 400 }), (script, tokens) => {
        const { log, now } = play(script, 10, 1_000);
        const at = log.freeAt(tokens, 10, 1_000, now);
        if (at > now) expect(log.freeAt(tokens, 10, 1_000, at - 1)).toBe(at);
        expect(log.freeAt(tokens, 10, 1_000, at)).toBe(at);
      }),
    );
  });

  it('keeps its sums equal to the entries in the window', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const { log, admitted, now } = play(script, 10, 1_000);
        const inWindow = admitted.filter(({ at }) => at + windowMs > now);
        expect(log.requests(now)).toBe(inWindow.reduce((sum, { requests }) => sum + requests, 0));
        expect(log.tokens(now)).toBe(inWindow.reduce((sum, { tokens }) => sum + tokens, 0));
      }),
    );
  });

  it('never has room for a request larger than the limit', () => {
    expect(new SlidingLog(windowMs).freeAt(11, 5, 10, 0)).toBe(Number.POSITIVE_INFINITY);
  });

  it('counts the entries of an absorbed log as its own', () => {
    const [one, other] = [new SlidingLog(windowMs), new SlidingLog(windowMs)];
    one.add(10, 0);
    const late = other.add(20, 5_000);
    one.add(40, 7_000);
    one.absorb(other);
    expect([one.requests(7_000), one.tokens(7_000)]).toEqual([3, 70]);
    one.refund(late, 8_000);
    expect([one.requests(8_000), one.tokens(8_000)]).toEqual([2, 50]);
    expect(one.requests(66_000)).toBe(1);
  });

  it('sums what was charged before a moment', () => {
    const log = new SlidingLog(windowMs);
    log.add(1, 0);
    log.add(2, 10);
    log.add(4, 20);
    expect(log.before(10, 30)).toEqual({ requests: 1, tokens: 1 });
  });
});
