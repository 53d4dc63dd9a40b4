import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ModelCallError } from '../../core/errors.js';
import { VirtualClock } from '../../testing/virtual-clock.js';
import { AttemptWatch } from './attempt-watch.js';

const timeouts = { firstTokenMs: 1000, betweenChunksMs: 100, totalMs: 5000 };

function start(signal?: AbortSignal) {
  const clock = new VirtualClock();
  const watch = new AttemptWatch(clock, timeouts, signal);
  const expired = () => {
    const { reason } = watch.signal;
    return ModelCallError.isInstance(reason) ? reason.failure.reason : reason;
  };
  const chunk = (hasToken: boolean) => {
    watch.gotChunk(hasToken);
    watch.awaitChunk();
  };
  watch.awaitChunk();
  return { clock, watch, expired, chunk };
}

describe('AttemptWatch', () => {
  it('expires if no token comes, even while bytes do', async () => {
    const { clock, watch, expired, chunk } = start();
    await clock.advance(999);
    chunk(false);
    expect(watch.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(watch.signal.aborted).toBe(true);
    expect(expired()).toBe('FIRST_TOKEN');
  });

  it('expires on silence after the first token, counted from the last chunk', async () => {
    const { clock, watch, expired, chunk } = start();
    chunk(true);
    for (let count = 0; count < 20; count++) {
      await clock.advance(99);
      chunk(true);
    }
    expect(watch.signal.aborted).toBe(false);
    await clock.advance(99);
    chunk(false);
    await clock.advance(1);
    expect(expired()).toBe('BETWEEN_CHUNKS');
  });

  it('ends a silence after the end of the answer early, and calls it no cancellation', async () => {
    const { clock, watch, chunk } = start();
    chunk(true);
    watch.awaitChunk(20);
    await clock.advance(19);
    watch.gotChunk(true);
    watch.awaitChunk(20);
    await clock.advance(19);
    expect(watch.signal.aborted).toBe(false);
    await clock.advance(1);
    expect({ aborted: watch.signal.aborted, cancelled: watch.wasCancelled }).toEqual({
      aborted: true,
      cancelled: false,
    });
  });

  it.each([
    ['FIRST_TOKEN', 'timeouts.firstTokenMs', 1000, { firstTokenMs: 1000 }],
    ['BETWEEN_CHUNKS', 'timeouts.betweenChunksMs', 100, { betweenChunksMs: 100 }],
    ['TOTAL', 'timeouts.callMs', 5000, { totalMs: 5000 }],
    ['TOTAL', 'timeouts.totalMs', 700, { totalMs: 700, firstTokenMs: 700 }],
  ])('names the option to raise and its value: %s', async (reason, option, ms, limits) => {
    const clock = new VirtualClock();
    const patient = { firstTokenMs: 1e6, betweenChunksMs: 1e6, totalMs: 1e6 };
    const watch = new AttemptWatch(clock, { ...patient, ...limits }, undefined);
    watch.awaitChunk();
    if (reason === 'BETWEEN_CHUNKS') {
      watch.gotChunk(true);
      watch.awaitChunk();
    }
    await clock.advance(ms);
    expect(watch.signal.reason).toMatchObject({ failure: { reason, kind: 'timeout' } });
    expect(String(watch.signal.reason)).toContain(`\`${option}\``);
    expect(String(watch.signal.reason)).toContain(String(ms));
  });

  it('does not count the time that the reader takes for a chunk', async () => {
    const { clock, watch, expired } = start();
    watch.gotChunk(true);
    await clock.advance(3000);
    expect(watch.signal.aborted).toBe(false);
    watch.awaitChunk();
    await clock.advance(200);
    expect(expired()).toBe('BETWEEN_CHUNKS');
  });

  it('expires after the total limit, whatever the stream sends', async () => {
    const { clock, expired, chunk } = start();
    for (let at = 0; at < 5000; at += 50) {
      chunk(true);
      await clock.advance(50);
    }
    expect(expired()).toBe('TOTAL');
  });

  it('keeps one timer for any number of chunks', () => {
    const { clock, chunk } = start();
    for (let count = 0; count < 1000; count++) chunk(true);
    expect(clock.pendingTimers).toBe(1);
  });

  it("passes the caller's reason on, which a later limit does not replace", async () => {
    const caller = new AbortController();
    const { clock, watch, expired } = start(caller.signal);
    caller.abort('changed my mind');
    expect(watch.signal.aborted).toBe(true);
    await clock.advance(10_000);
    expect(expired()).toBe('changed my mind');
  });

  it('is aborted from the start if the caller already was', () => {
    expect(start(AbortSignal.abort()).watch.signal.aborted).toBe(true);
  });

  it.each([
    ['cancels a request that is not answered', false],
    ['does not cancel an answered request', true],
  ])('releases timer and listener when closed, and %s', (_, isAnswered) => {
    const caller = new AbortController();
    const { clock, watch } = start(caller.signal);
    watch.close(isAnswered);
    expect({
      pending: clock.pendingTimers,
      listeners: getEventListeners(caller.signal, 'abort').length,
      aborted: watch.signal.aborted,
    }).toEqual({ pending: 0, listeners: 0, aborted: !isAnswered });
  });
});
