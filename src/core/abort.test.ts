import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { onAbort } from './abort.js';

const listenersOf = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

describe('onAbort', () => {
  it('calls every listener with the reason, once', () => {
    const controller = new AbortController();
    const reasons: unknown[] = [];
    for (let i = 0; i < 3; i += 1) onAbort(controller.signal, (reason) => reasons.push([i, reason]));
    controller.abort('enough');
    controller.abort('again');
    expect(reasons).toEqual([0, 1, 2].map((i) => [i, 'enough']));
  });

  it('calls at once for a signal that has already aborted', () => {
    const reasons: unknown[] = [];
    onAbort(AbortSignal.abort('before'), (reason) => reasons.push(reason));
    expect(reasons).toEqual(['before']);
  });

  it('does not call a listener that was removed', () => {
    const controller = new AbortController();
    const reasons: string[] = [];
    const leave = onAbort(controller.signal, () => reasons.push('left'));
    onAbort(controller.signal, () => reasons.push('stayed'));
    leave();
    controller.abort();
    expect(reasons).toEqual(['stayed']);
  });

  it('adds one event listener for any number, and removes it with the last', () => {
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
