import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlidingLog } from './sliding-log.js';

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
  const admitted: { at: number; requests: number; tokens: number }[] = [];
  let now = 0;
  for (const { waitMs, tokens, fate } of script) {
    now += waitMs;
    if (log.freeAt(tokens, maxRequests, maxTokens, now) > now) continue;
    const entry = { at: log.add(tokens, now), requests: 1, tokens };
    admitted.push(entry);
    const left = fate === 'refund' ? 0 : fate === 'amend' ? Math.floor(tokens / 2) : tokens;
    if (fate === 'refund') entry.requests = 0;
    log.correct(entry.at, entry.requests - 1, left - tokens, now);
    entry.tokens = left;
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
    one.absorb(other, 7_000);
    expect([one.requests(7_000), one.tokens(7_000)]).toEqual([3, 70]);
    one.correct(late, -1, -20, 8_000);
    expect([one.requests(8_000), one.tokens(8_000)]).toEqual([2, 50]);
    expect(one.requests(66_000)).toBe(1);
  });

  it('counts the calls once that an older copy of the log holds too', () => {
    const log = new SlidingLog(windowMs);
    for (const at of [0, 10, 20]) log.add(5, at);
    const copy = new SlidingLog(windowMs);
    copy.load(log.save(20), log.windowMs);
    log.add(5, 30);
    copy.absorb(log, 30, true);
    expect([copy.requests(30), copy.tokens(30)]).toEqual([4, 20]);
  });

  it('admits nothing earlier after it was saved and loaded, however many calls it holds', () => {
    const log = new SlidingLog(windowMs);
    for (let at = 0; at < 3_000; at += 1) log.add(1, at);
    const copy = new SlidingLog(windowMs);
    const saved = log.save(3_000);
    copy.load(saved, log.windowMs);
    expect(saved.length).toBeLessThanOrEqual(3 * 256);
    expect([copy.requests(3_000), copy.tokens(3_000)]).toEqual([3_000, 3_000]);
    for (let limit = 100; limit < 3_000; limit += 100) {
      const exact = log.freeAt(1, limit, 1e9, 3_000);
      expect(copy.freeAt(1, limit, 1e9, 3_000)).toBeGreaterThanOrEqual(exact);
      expect(copy.freeAt(1, limit, 1e9, 3_000)).toBeLessThanOrEqual(exact + 12);
    }
  });

  it('sums what was charged before a moment', () => {
    const log = new SlidingLog(windowMs);
    log.add(1, 0);
    log.add(2, 10);
    log.add(4, 20);
    expect(log.before(10, 30)).toEqual({ requests: 1, tokens: 1 });
  });
});
