import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ClosedError } from '../../core/errors.js';
import { FakeKeyPool, type GeminiEmulator, startGeminiEmulator, VirtualClock } from '../../testing.js';
import { GeminiEmbedder } from './gemini-embedder.js';
import type { GeminiEmbedderOptions } from './gemini-embedder-options.js';

const cosine = (a: ArrayLike<number> = [], b: ArrayLike<number> = []) =>
  Array.from(a).reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);

interface BatchBody {
  readonly requests: readonly {
    readonly model: string;
    readonly content: { readonly parts: readonly { readonly text: string }[] };
    readonly taskType?: string;
    readonly outputDimensionality?: number;
  }[];
}

describe('GeminiEmbedder', () => {
  let emulator: GeminiEmulator;
  beforeAll(async () => {
    emulator = await startGeminiEmulator();
  });
  afterEach(() => emulator.clearFaults());
  afterAll(() => emulator.close());

  const start = (options: Partial<GeminiEmbedderOptions> = {}, keys = ['AIza-key-1', 'AIza-key-2']) => {
    const keyPool = new FakeKeyPool(keys);
    const received = emulator.journal.length;
    return {
      keyPool,
      embedder: new GeminiEmbedder({ keyPool, baseUrl: emulator.url, ...options }),
      calls: () => emulator.journal.slice(received),
      bodies: () => emulator.journal.slice(received).map((call) => call.body as BatchBody),
    };
  };

  it('returns one vector of length 1 per text, in order, near for near texts', async () => {
    const { embedder } = start();
    const texts = ['The red boat sails', 'Taxes are due in April', 'A boat, a red one'];
    const vectors = await embedder.embed(texts, { purpose: 'document' });
    expect(vectors.map((vector) => vector.length)).toEqual([768, 768, 768]);
    for (const vector of vectors) expect(cosine(vector, vector)).toBeCloseTo(1, 5);
    const [query] = await embedder.embed(['red boat'], { purpose: 'query' });
    const nearness = vectors.map((vector) => cosine(query, vector));
    expect(nearness[0]).toBeGreaterThan((nearness[1] ?? 1) + 0.2);
    expect(nearness[2]).toBeGreaterThan((nearness[1] ?? 1) + 0.2);
  });

  it.each([
    ['gemini-embedding-2', 'document', 'title: none | text: hello', undefined],
    ['gemini-embedding-2', 'query', 'task: search result | query: hello', undefined],
    ['gemini-embedding-001', 'document', 'hello', 'RETRIEVAL_DOCUMENT'],
    ['gemini-embedding-001', 'query', 'hello', 'RETRIEVAL_QUERY'],
  ] as const)(
    'states the purpose to %s (%s) as that model takes it',
    async (model, purpose, text, taskType) => {
      const { embedder, bodies } = start({ model, dimensions: 256 });
      // The emulator may not know the older model; only the request matters here.
      await embedder.embed(['hello'], { purpose }).catch((error: unknown) => error);
      expect(bodies()[0]?.requests).toEqual([
        {
          model: `models/${model}`,
          content: { parts: [{ text }] },
          outputDimensionality: 256,
          ...(taskType ? { taskType } : {}),
        },
      ]);
    },
  );

  it('sends batches of 100 texts, each with a lease of its own', async () => {
    const { embedder, bodies, keyPool } = start();
    const texts = Array.from({ length: 201 }, (_, index) => `text number ${index}`);
    const vectors = await embedder.embed(texts, { purpose: 'document' });
    expect(vectors).toHaveLength(201);
    expect(bodies().map((body) => body.requests.length)).toEqual([100, 100, 1]);
    const [alone] = await embedder.embed(['text number 150'], { purpose: 'document' });
    expect(cosine(vectors[150], alone)).toBeCloseTo(1, 5);
    expect(
      keyPool.leases.map(({ request, outcome }) => [request.model, request.priority, outcome?.ok]),
    ).toEqual(Array(4).fill(['gemini-embedding-2', 'batch', true]));
    expect(keyPool.leases[0]?.request.estimatedTokens).toBeGreaterThan(400);
  });

  it('makes no call for no texts', async () => {
    const { embedder, calls } = start();
    expect(await embedder.embed([], { purpose: 'document' })).toEqual([]);
    expect(calls()).toEqual([]);
  });

  it('normalizes vectors that come at another length, and cuts longer ones', async () => {
    const { embedder } = start({ dimensions: 2 });
    emulator.inject({ operation: 'embed', reply: { body: { embeddings: [{ values: [3, 4, 12] }] } } });
    const [vector] = await embedder.embed(['x'], { purpose: 'query' });
    expect([...(vector ?? [])].map((value) => value.toFixed(4))).toEqual(['0.6000', '0.8000']);
  });

  it('cuts a text that is longer than the model reads between characters', async () => {
    const { embedder, bodies } = start();
    const long = ['a'.repeat(100_000), '漢'.repeat(20_000), '🌍'.repeat(10_000), `a${'🌍'.repeat(10_000)}`];
    await embedder.embed([...long, 'ж'.repeat(100_000)], { purpose: 'document' });
    const sent = bodies()[0]?.requests.map((request) =>
      request.content.parts[0]?.text.slice('title: none | text: '.length),
    );
    expect(sent).toEqual([
      'a'.repeat(32_000),
      '漢'.repeat(8000),
      '🌍'.repeat(4000),
      `a${'🌍'.repeat(3999)}`,
      'ж'.repeat(16_000),
    ]);
  });

  it('takes another key when one is refused, and reports the bad one', async () => {
    const { calls, embedder, keyPool } = start();
    emulator.inject({ fault: 'bad-key', operation: 'embed', key: 'AIza-key-1' });
    expect(await embedder.embed(['x'], { purpose: 'query' })).toHaveLength(1);
    expect(calls().map((call) => call.key)).toEqual(['AIza-key-1', 'AIza-key-2']);
    expect(keyPool.leases.map((lease) => lease.outcome)).toMatchObject([
      { ok: false, sent: true, failure: { kind: 'auth', scope: 'key' } },
      { ok: true },
    ]);
  });

  it.each([
    ['overloaded', { kind: 'overloaded', scope: 'model' }, 1],
    ['reset-before-headers', { kind: 'network', scope: 'call' }, 1],
    ['truncated-json', { kind: 'incomplete', scope: 'call' }, 1],
    ['bad-key', { kind: 'auth', scope: 'key' }, 4],
  ] as const)('gives up on "%s" after the attempts that make sense', async (fault, failure, tries) => {
    const { calls, embedder, keyPool } = start();
    emulator.inject({ fault, operation: 'embed', times: Number.POSITIVE_INFINITY });
    const error = await embedder.embed(['x'], { purpose: 'query' }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'ModelCallError', failure });
    expect(calls()).toHaveLength(tries);
    expect(keyPool.leases.every((lease) => lease.outcome?.ok === false)).toBe(true);
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('AIza-key');
  });

  it.each([
    ['too few vectors', { embeddings: [] }],
    ['short vectors', { embeddings: [{ values: [1, 2, 3] }] }],
    ['another API', { hello: 'world' }],
  ])('throws %s as incomplete', async (_, body) => {
    const { embedder } = start();
    emulator.inject({ operation: 'embed', reply: { body } });
    await expect(embedder.embed(['x'], { purpose: 'query' })).rejects.toMatchObject({
      failure: { kind: 'incomplete', reason: 'WRONG_SHAPE' },
    });
  });

  it("throws the signal's own reason when aborted, cancels the call and frees the lease", async () => {
    const { calls, embedder, keyPool } = start();
    emulator.inject({ fault: 'slow-first-byte', operation: 'embed' });
    const caller = new AbortController();
    const reason = new Error('the query is answered by words alone');
    const before = emulator.journal.length;
    const ended = embedder
      .embed(['x'], { purpose: 'query', signal: caller.signal })
      .catch((error: unknown) => error);
    await emulator.whenReceived(before + 1);
    caller.abort(reason);
    expect(await ended).toBe(reason);
    await emulator.whenIdle();
    expect(calls()[0]?.aborted).toBe(true);
    expect(keyPool.leases[0]?.outcome).toMatchObject({ ok: false, sent: true, failure: { scope: 'call' } });
  });

  it('throws ClosedError from calls in progress and after close', async () => {
    const { calls, embedder, keyPool } = start();
    emulator.inject({ fault: 'slow-first-byte', operation: 'embed' });
    const before = emulator.journal.length;
    const ended = embedder.embed(['x'], { purpose: 'query' }).catch((error: unknown) => error);
    await emulator.whenReceived(before + 1);
    await embedder.close();
    expect(await ended).toBeInstanceOf(ClosedError);
    await expect(embedder.embed(['x'], { purpose: 'query' })).rejects.toBeInstanceOf(ClosedError);
    await emulator.whenIdle();
    expect(calls()).toHaveLength(1);
    expect(keyPool.leases.map(({ outcome }) => outcome?.ok)).toEqual([false]);
  });

  it('has a time limit of its own', async () => {
    const clock = new VirtualClock();
    const { embedder } = start({ clock, timeoutMs: 5000 });
    emulator.inject({ fault: 'slow-first-byte', operation: 'embed', delayMs: 1e9 });
    const before = emulator.journal.length;
    const ended = embedder.embed(['x'], { purpose: 'query' }).catch((error: unknown) => error);
    await emulator.whenReceived(before + 1);
    await clock.advance(5000);
    expect(await ended).toMatchObject({ failure: { kind: 'timeout', scope: 'call', reason: 'TOTAL' } });
  });
});
