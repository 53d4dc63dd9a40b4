import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { onAbort } from './abort.js';

const listenersOf = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

describe('onAbort', () => {
  it('tells every follower the reason, once', () => {
    const controller = new AbortController();
    const told: unknown[] = [];
    for (let i = 0; i < 3; i += 1) onAbort(controller.signal, (reason) => told.push([i, reason]));
    controller.abort('enough');
    controller.abort('again');
    expect(told).toEqual([0, 1, 2].map((i) => [i, 'enough']));
  });

  it('tells at once of a signal that has aborted', () => {
    const told: unknown[] = [];
    onAbort(AbortSignal.abort('before'), (reason) => told.push(reason));
    expect(told).toEqual(['before']);
  });

  it('tells nobody who has left', () => {
    const controller = new AbortController();
    const told: string[] = [];
    const leave = onAbort(controller.signal, () => told.push('left'));
    onAbort(controller.signal, () => told.push('stayed'));
    leave();
    controller.abort();
    expect(told).toEqual(['stayed']);
  });

  it('listens once for any number, and not at all when the last has left', () => {
    const { signal } = new AbortController();
    const leaves = Array.from({ length: 30 }, () => onAbort(signal, () => undefined));
    expect(listenersOf(signal)).toBe(1);
    for (const leave of leaves) leave();
    expect(listenersOf(signal)).toBe(0);
    leaves[0]?.();
    onAbort(signal, () => undefined);
    expect(listenersOf(signal)).toBe(1);
  });
});
