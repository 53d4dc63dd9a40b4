import { describe, expect, it } from 'vitest';
import { SharedWork } from './shared-work.js';

const never = new AbortController().signal;
const ignore = () => undefined;

/** Work that the test ends itself. */
function controllable() {
  let finish: (value: string) => void = ignore;
  const signals: AbortSignal[] = [];
  const start = (signal: AbortSignal) => {
    signals.push(signal);
    return new Promise<string>((resolve, reject) => {
      finish = resolve;
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  };
  return { start, signals, finish: (value: string) => finish(value) };
}

describe('SharedWork', () => {
  it('runs once for all callers while it lasts, and again afterwards', async () => {
    const { start, signals, finish } = controllable();
    const shared = new SharedWork<string>();
    const both = [1, 2].map(() => shared.run('a', never, ignore, start));
    const other = shared.run('b', never, ignore, async () => 'other');
    expect(signals).toHaveLength(1);
    finish('done');
    expect(await Promise.all([...both, other])).toEqual(['done', 'done', 'other']);
    const again = shared.run('a', never, ignore, start);
    finish('again');
    expect(await again).toBe('again');
    expect(signals).toHaveLength(2);
  });

  it('goes on for a caller that waits when another leaves', async () => {
    const { start, signals, finish } = controllable();
    const shared = new SharedWork<string>();
    const leaving = new AbortController();
    const left = shared.run('a', leaving.signal, ignore, start);
    const staying = shared.run('a', never, ignore, start);
    leaving.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    expect(signals[0]?.aborted).toBe(false);
    finish('done');
    expect(await staying).toBe('done');
  });

  it('aborts the work when the last caller has left, and starts again for the next', async () => {
    const { start, signals, finish } = controllable();
    const shared = new SharedWork<string>();
    const leaving = new AbortController();
    const left = [1, 2].map(() => shared.run('a', leaving.signal, ignore, start));
    leaving.abort(new Error('gone'));
    const outcomes = await Promise.allSettled(left);
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.message)).toEqual([
      'gone',
      'gone',
    ]);
    expect(signals[0]?.aborted).toBe(true);
    const next = shared.run('a', never, ignore, start);
    finish('done');
    expect(await next).toBe('done');
  });

  it('reports progress to every caller', async () => {
    const shared = new SharedWork<string>();
    const heard: string[] = [];
    const listen = (name: string) => (stage: string) => heard.push(`${name} ${stage}`);
    const work = async (_: AbortSignal, report: (stage: 'decoding') => void) => {
      await Promise.resolve();
      report('decoding');
      return 'done';
    };
    await Promise.all(['x', 'y'].map((caller) => shared.run('a', never, listen(caller), work)));
    expect(heard).toEqual(['x decoding', 'y decoding']);
  });
});
