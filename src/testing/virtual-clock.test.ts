import { describe, expect, it } from 'vitest';
import { sleep } from '../core/clock.js';
import { VirtualClock } from './virtual-clock.js';

describe('VirtualClock', () => {
  it('fires timers by time, those of equal time in the order in which they were set', async () => {
    const clock = new VirtualClock(0);
    const fired: string[] = [];
    clock.setTimeout(() => fired.push(`late ${clock.now()}`), 30);
    clock.setTimeout(() => fired.push(`first ${clock.now()}`), 10);
    clock.setTimeout(() => fired.push(`second ${clock.now()}`), 10);
    await clock.advance(29);
    expect(fired).toEqual(['first 10', 'second 10']);
    await clock.advance(1);
    expect(fired.at(-1)).toBe('late 30');
  });

  it('settles promise jobs between timers, so that a chain of sleeps takes the sum of its times', async () => {
    const clock = new VirtualClock(0);
    const wakings: number[] = [];
    const chain = (async () => {
      for (let i = 0; i < 3; i += 1) {
        await sleep(clock, 100);
        wakings.push(clock.now());
      }
    })();
    await clock.advance(1_000);
    await chain;
    expect(wakings).toEqual([100, 200, 300]);
    expect(clock.now()).toBe(1_000);
  });

  it('does not fire a cleared timer', async () => {
    const clock = new VirtualClock(0);
    const handle = clock.setTimeout(() => expect.unreachable(), 10);
    expect(clock.pendingTimers).toBe(1);
    clock.clearTimeout(handle);
    expect(clock.pendingTimers).toBe(0);
    await clock.advance(20);
  });

  it('runs until a promise settles and no further', async () => {
    const clock = new VirtualClock(0);
    clock.setTimeout(() => expect.unreachable(), 5_000);
    await clock.runUntil(sleep(clock, 700));
    expect(clock.now()).toBe(700);
    await expect(clock.runUntil(Promise.reject(new Error('as it failed')))).rejects.toThrow('as it failed');
  });

  it('throws if a promise would never settle', async () => {
    const never = new Promise(() => undefined);
    await expect(new VirtualClock().runUntil(never)).rejects.toThrow('no timer is set');
    const clock = new VirtualClock();
    clock.setTimeout(() => undefined, 2_000);
    await expect(clock.runUntil(never, 1_000)).rejects.toThrow('still pending after 1000 ms');
  });
});
