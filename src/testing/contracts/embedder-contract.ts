import assert from 'node:assert/strict';
import type { Embedder } from '../../memory/embedder.js';
import type { ContractCase } from './contract-case.js';

const texts = ['The red boat sails.', 'Taxes are due in April.', 'My tortoise eats lettuce.'];
const document = { purpose: 'document' } as const;

function cosine(a: Float32Array | undefined, b: Float32Array | undefined): number {
  assert.ok(a && b);
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
}

/**
 * What every `Embedder` owes.
 *
 * @example
 * ```ts
 * for (const { name, run } of embedderContract(async () => new MyEmbedder())) it(name, run);
 * ```
 */
export function embedderContract(create: () => Promise<Embedder>): readonly ContractCase[] {
  const withEmbedder = (name: string, check: (embedder: Embedder) => Promise<void>): ContractCase => ({
    name,
    run: async () => check(await create()),
  });

  return [
    withEmbedder('names its model and the length of its vectors', async ({ dimensions, model }) => {
      assert.ok(model.length > 0);
      assert.ok(Number.isInteger(dimensions) && dimensions > 0, `dimensions is ${dimensions}`);
    }),

    ...(['document', 'query'] as const).map((purpose) =>
      withEmbedder(`gives one vector of length 1 per ${purpose}`, async (embedder) => {
        const vectors = await embedder.embed(texts, { purpose });
        assert.equal(vectors.length, texts.length);
        for (const vector of vectors) {
          assert.ok(vector instanceof Float32Array);
          assert.equal(vector.length, embedder.dimensions);
          assert.ok(
            Math.abs(cosine(vector, vector) - 1) < 0.001,
            `its length is ${cosine(vector, vector)} ** 0.5`,
          );
        }
      }),
    ),

    withEmbedder('gives the vectors in the order of the texts', async (embedder) => {
      const together = await embedder.embed(texts, document);
      for (const [at, text] of texts.entries()) {
        const [alone] = await embedder.embed([text], document);
        assert.ok(cosine(alone, together[at]) > 0.999, `vector ${at} is of another text`);
      }
    }),

    withEmbedder('puts a query nearer to what it is about than to anything else', async (embedder) => {
      const [query] = await embedder.embed(['a boat that is red'], { purpose: 'query' });
      const [boat, ...others] = (await embedder.embed(texts, document)).map((vector) =>
        cosine(query, vector),
      );
      for (const other of others) assert.ok((boat ?? 0) > other, `${boat} is not above ${other}`);
    }),

    withEmbedder('gives no vector for no text', async (embedder) => {
      assert.deepEqual(await embedder.embed([], document), []);
    }),

    withEmbedder('takes more texts than a request of most services', async (embedder) => {
      const many = Array.from({ length: 250 }, (_, n) => `text number${n}`);
      const vectors = await embedder.embed(many, document);
      assert.equal(vectors.length, many.length);
      const [last] = await embedder.embed(many.slice(-1), document);
      assert.ok(cosine(last, vectors.at(-1)) > 0.999);
    }),

    withEmbedder('takes any text', async (embedder) => {
      const odd = [
        '',
        ' ',
        '🙂',
        'lone \ud800 surrogate',
        'nul\0inside',
        '我们在公园里',
        'walrus '.repeat(20_000),
      ];
      const vectors = await embedder.embed(odd, document);
      assert.deepEqual(
        vectors.map(({ length }) => length),
        odd.map(() => embedder.dimensions),
      );
      assert.ok(vectors.every((vector) => vector.every(Number.isFinite)));
    }),

    withEmbedder('serves many calls at once', async (embedder) => {
      const calls = texts.map((text) => embedder.embed([text], document));
      const expected = await embedder.embed(texts, document);
      for (const [at, [vector]] of (await Promise.all(calls)).entries()) {
        assert.ok(cosine(vector, expected[at]) > 0.999);
      }
    }),

    withEmbedder('rejects with the reason of an aborted signal', async (embedder) => {
      const reason = new Error('no longer wanted');
      const options = { ...document, signal: AbortSignal.abort(reason) };
      await assert.rejects(embedder.embed(texts, options), (error) => error === reason);
    }),
  ];
}
