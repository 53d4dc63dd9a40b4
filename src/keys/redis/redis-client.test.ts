import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type RedisClient, scriptRunner } from './redis-client.js';

const source = 'return 1';
const sha = createHash('sha1').update(source).digest('hex');
const listeners = { on: () => undefined, off: () => undefined };

/** A client of either package. Redis has flushed its scripts before the calls in `flushedAt`. */
function fakeClient(kind: 'redis' | 'ioredis', flushedAt: readonly number[] = []) {
  const sent: unknown[][] = [];
  let calls = 0;
  const bySha = async (...parameters: unknown[]) => {
    sent.push(['sha', ...parameters]);
    calls += 1;
    if (flushedAt.includes(calls)) throw new Error('NOSCRIPT No matching script. Please use EVAL.');
    return 'by sha';
  };
  const bySource = async (...parameters: unknown[]) => {
    sent.push(['source', ...parameters]);
    return 'by source';
  };
  const client = { ...listeners, eval: bySource, [kind === 'redis' ? 'evalSha' : 'evalsha']: bySha };
  return { run: scriptRunner(client as unknown as RedisClient, source), sent };
}

describe('scriptRunner', () => {
  it.each([
    ['redis', [{ keys: ['a', 'b'], arguments: ['x'] }]],
    ['ioredis', [2, 'a', 'b', 'x']],
  ] as const)(
    'runs a script on a client of the package %s by source, and by digest afterwards',
    async (kind, rest) => {
      const { run, sent } = fakeClient(kind);
      expect(await run(['a', 'b'], ['x'])).toBe('by source');
      expect(await run(['a', 'b'], ['x'])).toBe('by sha');
      expect(sent).toEqual([
        ['source', source, ...rest],
        ['sha', sha, ...rest],
      ]);
    },
  );

  it('sends the source again after Redis has flushed its scripts', async () => {
    const { run } = fakeClient('redis', [1]);
    await run([], []);
    expect(await run([], [])).toBe('by source');
    expect(await run([], [])).toBe('by sha');
  });
});
