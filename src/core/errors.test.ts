import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { IncompleteReplyError, MediaError, ModelCallError } from './errors.js';
import type { Attempt, Failure } from './failure.js';

const cause = new TypeError('fetch failed', {
  cause: new AggregateError(
    [new Error('connect ECONNREFUSED ::1:443'), new Error('connect ECONNREFUSED')],
    '',
  ),
});
const failure: Failure = {
  kind: 'network',
  scope: 'call',
  reason: 'ECONNREFUSED',
  message: 'Gemini could not be reached: the connection was refused.',
  cause,
};
const attempts = Array.from(
  { length: 40 },
  (): Attempt => ({
    model: 'gemini-3.8-flash',
    keyId: 'key_1_...w2Do',
    startedAt: 0,
    durationMs: 12,
    failure,
  }),
);

describe('MultimodalChatError', () => {
  it('is printed on one screen, with some attempts and each cause once', () => {
    const lines = inspect(new ModelCallError(failure, attempts)).split('\n');
    expect(lines.length).toBeLessThan(25);
    expect(lines[0]).toBe(`ModelCallError [MODEL_NETWORK]: ${failure.message}`);
    expect(lines.filter((line) => !line.includes(' at '))).toEqual([
      lines[0],
      ...[1, 2, 3].map(
        (attempt) =>
          `  attempt ${attempt}: gemini-3.8-flash with key_1_...w2Do: network ECONNREFUSED after 12 ms`,
      ),
      '  and 37 more attempts',
      '  [cause] TypeError: fetch failed',
      '  [cause] Error: connect ECONNREFUSED ::1:443',
    ]);
  });

  it('is printed on one screen when nobody catches it, as Node does that', () => {
    const uncaught = inspect(new ModelCallError(failure, attempts), { customInspect: false, depth: 5 });
    const incomplete = new IncompleteReplyError('Once', failure, attempts);
    const lines = [uncaught, inspect(incomplete, { customInspect: false, depth: 5 })].map(
      (text) => text.split('\n').filter((line) => !/^\s+at /.test(line)).length,
    );
    for (const count of lines) expect(count).toBeLessThan(20);
    expect(incomplete).toMatchObject({ failure: { kind: 'network' }, attempts });
    expect(JSON.stringify(incomplete)).not.toContain('key_1');
  });

  it('is printed with a cause that refers to itself', () => {
    const loop = new Error('loop');
    loop.cause = loop;
    expect(inspect(new MediaError('corrupt', 'Damaged.', { cause: loop })).match(/loop/g)).toHaveLength(1);
  });
});
