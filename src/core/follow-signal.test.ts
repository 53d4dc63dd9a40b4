import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { followSignal } from './follow-signal.js';

const listenersOf = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

describe('followSignal', () => {
  it('tells every follower the reason, once', () => {
    const controller = new AbortController();
    const told: unknown[] = [];
    for (let i = 0; i < 3; i += 1) followSignal(controller.signal, (reason) => told.push([i, reason]));
    controller.abort('enough');
    controller.abort('again');
    expect(told).toEqual([0, 1, 2].map((i) => [i, 'enough']));
  });

  it('tells at once of a signal that has aborted', () => {
    const told: unknown[] = [];
    followSignal(AbortSignal.abort('before'), (reason) => told.push(reason));
    expect(told).toEqual(['before']);
  });

  it('tells nobody who has left', () => {
    const controller = new AbortController();
    const told: string[] = [];
    const leave = followSignal(controller.signal, () => told.push('left'));
    followSignal(controller.signal, () => told.push('stayed'));
    leave();
    controller.abort();
    expect(told).toEqual(['stayed']);
  });

  it('listens once for any number, and not at all when the last has left', () => {
    const { signal } = new AbortController();
    const leaves = Array.from({ length: 30 }, () => followSignal(signal, () => undefined));
    expect(listenersOf(signal)).toBe(1);
    for (const leave of leaves) leave();
    expect(listenersOf(signal)).toBe(0);
    leaves[0]?.();
    followSignal(signal, () => undefined);
    expect(listenersOf(signal)).toBe(1);
  });
});
