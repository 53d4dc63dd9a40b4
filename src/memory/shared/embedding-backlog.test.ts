import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { WordEmbedder } from '../../../test/support/word-embedder.js';
import { VirtualClock } from '../../testing/virtual-clock.js';
import { EmbeddingBacklog, type EmbeddingSource } from './embedding-backlog.js';

/** Turns by number; those with a vector are done. */
class ListedTurns implements EmbeddingSource<number> {
  readonly done = new Set<number>();
  readonly texts: string[];

  constructor(...texts: string[]) {
    this.texts = texts;
  }

  async next(limit: number) {
    const waiting = this.texts.map((text, key) => ({ key, text })).filter(({ key }) => !this.done.has(key));
    return waiting.slice(0, limit);
  }

  async store(vectors: readonly { readonly key: number }[]) {
    for (const { key } of vectors) this.done.add(key);
  }
}

describe('EmbeddingBacklog', () => {
  it('embeds everything in batches, in order', async () => {
    const embedder = new WordEmbedder();
    const turns = new ListedTurns(...Array.from({ length: 150 }, (_, n) => `turn ${n}`));
    await new EmbeddingBacklog(embedder, turns, new VirtualClock()).drain();
    expect(embedder.embedded).toEqual(turns.texts);
  });

  it('pauses after a failure, twice as long each time, and goes on by itself', async () => {
    const clock = new VirtualClock();
    const embedder = new WordEmbedder();
    const turns = new ListedTurns('one');
    let tries = 0;
    embedder.refuses = () => {
      tries++;
      return true;
    };
    const backlog = new EmbeddingBacklog(embedder, turns, clock);
    backlog.wake();
    await clock.advance(0);
    expect(tries).toBe(1);
    backlog.wake();
    await clock.advance(999);
    expect(tries).toBe(1);
    await clock.advance(1);
    expect(tries).toBe(2);
    await clock.advance(1_999);
    expect(tries).toBe(2);
    embedder.refuses = undefined;
    await clock.advance(1);
    expect(turns.done.size).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('tries at once on drain, and rejects if it still fails', async () => {
    const clock = new VirtualClock();
    const embedder = new WordEmbedder();
    embedder.failWith = new Error('out of quota');
    const turns = new ListedTurns('one', 'two');
    const backlog = new EmbeddingBacklog(embedder, turns, clock);
    backlog.wake();
    await clock.advance(0);
    await expect(backlog.drain()).rejects.toMatchObject({ name: 'MemoryError', cause: embedder.failWith });
    embedder.failWith = undefined;
    await backlog.drain();
    expect(turns.done.size).toBe(2);
  });

  it('skips a text that the embedder refuses', async () => {
    const embedder = new WordEmbedder();
    embedder.refuses = (text) => text === 'bad';
    const turns = new ListedTurns('good', 'bad', 'fine');
    await new EmbeddingBacklog(embedder, turns, new VirtualClock()).drain();
    expect([...turns.done]).toEqual([0, 2]);
  });

  it.each([
    ['too few vectors', async () => [], /0 vectors for 1 texts/],
    ['vectors of another size', async () => [new Float32Array(3)], /3 numbers but declares 64/],
  ])('refuses %s', async (_, embed, sentence) => {
    const embedder = new WordEmbedder();
    const turns = new ListedTurns('one');
    const backlog = new EmbeddingBacklog({ model: 'odd', dimensions: embedder.dimensions, embed }, turns);
    await expect(backlog.drain()).rejects.toMatchObject({
      cause: expect.objectContaining({ message: expect.stringMatching(sentence) }),
    });
    expect(turns.done.size).toBe(0);
  });

  it('retains no vector of a batch that is stored', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const made: WeakRef<Float32Array>[] = [];
    const embed = async (texts: readonly string[]) => {
      const vectors = texts.map(() => new Float32Array(2));
      made.push(...vectors.map((vector) => new WeakRef(vector)));
      return vectors;
    };
    const turns = new ListedTurns(...Array.from({ length: 200 }, (_, n) => `turn ${n}`));
    const backlog = new EmbeddingBacklog({ model: 'any', dimensions: 2, embed }, turns, new VirtualClock());
    await backlog.drain();
    // Weak references hold until the current task ends.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(made).toHaveLength(200);
    const lastBatch = 200 % 64;
    expect(made.filter((vector) => vector.deref()).length).toBeLessThanOrEqual(lastBatch);
    await backlog.close();
  });

  it('closes while the embedder hangs', async () => {
    const embedder = new WordEmbedder();
    embedder.hang = true;
    const backlog = new EmbeddingBacklog(embedder, new ListedTurns('one'), new VirtualClock());
    backlog.wake();
    await backlog.close();
    expect(embedder.embedded).toEqual([]);
  });
});
