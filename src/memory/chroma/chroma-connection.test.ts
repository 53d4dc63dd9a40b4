import type { ChromaClient } from 'chromadb';
import { describe, expect, it } from 'vitest';
import { MemoryError } from '../../core/errors.js';
import { VirtualClock } from '../../testing/virtual-clock.js';
import { ChromaConnection } from './chroma-connection.js';

const url = 'http://chroma.test:8000';
const failure = (name: string, message = 'no') => Object.assign(new Error(message), { name });

/** A connection whose collection answers with `answer`; counts the requests. */
function connect(answer: () => Promise<number>) {
  const clock = new VirtualClock();
  const seen = { requests: 0, collections: 0 };
  const client = {
    async getOrCreateCollection() {
      seen.collections++;
      return {
        count: () => {
          seen.requests++;
          return answer();
        },
      };
    },
  } as unknown as ChromaClient;
  const connection = new ChromaConnection({ url, client, timeoutMs: 30_000, clock });
  const count = (signal?: AbortSignal) =>
    connection.call('turns', (collection) => collection.count(), signal);
  return { clock, seen, count };
}

describe('ChromaConnection', () => {
  it('retries a transient failure', async () => {
    const failures = [failure('ChromaConnectionError'), failure('ChromaServerError')];
    const { clock, seen, count } = connect(async () => {
      const next = failures.shift();
      if (next) throw next;
      return 7;
    });
    const result = count();
    await clock.advance(5_000);
    expect(await result).toBe(7);
    expect(seen).toEqual({ requests: 3, collections: 1 });
  });

  it('tries each call once while the server is known to be down, and in full again later', async () => {
    const { clock, seen, count } = connect(async () => {
      throw failure('ChromaConnectionError');
    });
    const requestsWithin = async (ms: number) => {
      const before = seen.requests;
      const settled = count().catch((error: unknown) => error);
      await clock.advance(ms);
      expect(await settled).toBeInstanceOf(MemoryError);
      return seen.requests - before;
    };
    // Time for all the tries would be 50 + 200 + 800 ms, half as much again at most.
    let spentMs = 0;
    const first = count().catch((error: unknown) => error);
    for (; seen.requests < 4 && spentMs < 1_600; spentMs += 10) await clock.advance(10);
    expect(await first).toBeInstanceOf(MemoryError);
    expect(await requestsWithin(0)).toBe(1);
    await clock.advance(60_000);
    expect(await requestsWithin(1_600)).toBe(4);
  });

  it.each([
    ['ChromaAuthError', /refused the token/],
    ['ChromaForbiddenError', /does not allow/],
    ['ChromaQuotaExceededError', /quota/],
    ['ChromaClientError', /failed: no/],
  ])('does not repeat a %s, and explains it', async (name, sentence) => {
    const { seen, count } = connect(async () => {
      throw failure(name);
    });
    await expect(count()).rejects.toThrow(sentence);
    expect(seen.requests).toBe(1);
  });

  it('creates a collection again that was deleted meanwhile', async () => {
    const failures = [failure('ChromaNotFoundError')];
    const { seen, count } = connect(async () => {
      const next = failures.shift();
      if (next) throw next;
      return 0;
    });
    expect(await count()).toBe(0);
    expect(seen).toEqual({ requests: 2, collections: 2 });
  });

  it('times out on a server that does not answer', async () => {
    const { clock, count } = connect(() => new Promise(() => undefined));
    const result = expect(count()).rejects.toThrow(/no answer within 30000 ms/);
    await clock.advance(30_000);
    await result;
    expect(clock.pendingTimers).toBe(0);
  });

  it('stops waiting when the signal aborts', async () => {
    const { clock, count } = connect(() => new Promise(() => undefined));
    const abort = new AbortController();
    const result = expect(count(abort.signal)).rejects.toThrow('gone');
    await clock.advance(1);
    abort.abort(new Error('gone'));
    await result;
    expect(clock.pendingTimers).toBe(0);
  });
});
