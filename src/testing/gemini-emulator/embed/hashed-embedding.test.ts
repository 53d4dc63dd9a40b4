import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { embedByHashing } from './hashed-embedding.js';

const cosine = (one: string, other: string, dimensions?: number) => {
  const left = embedByHashing(one, dimensions);
  const right = embedByHashing(other, dimensions);
  return left.reduce((sum, value, index) => sum + value * (right[index] ?? 0), 0);
};

describe('embedByHashing', () => {
  it('gives a vector of length 1 for any text with a word', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(64, 768, 3072), (text, dimensions) => {
        const vector = embedByHashing(`word ${text}`, dimensions);
        expect(vector).toHaveLength(dimensions);
        expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
      }),
      { numRuns: 50 },
    );
  });

  it.each([undefined, 768, 256])('places similar texts near each other in %s dimensions', (dimensions) => {
    const question = 'How high are the mountains of Norway?';
    const near = cosine(question, 'The highest mountain in Norway is Galdhøpiggen.', dimensions);
    const far = cosine(question, 'She bakes bread with rye flour every Sunday.', dimensions);
    expect(near).toBeGreaterThan(0.2);
    expect(Math.abs(far)).toBeLessThan(0.1);
  });

  it('gives common words little weight', () => {
    expect(cosine('what is the name of it', 'it is the end of what')).toBeGreaterThan(0);
    expect(cosine('what is the price of tea', 'what is the height of towers')).toBeLessThan(0.2);
  });

  it('ignores the task prefix', () => {
    expect(cosine('task: search result | query: red boats', 'title: none | text: red boats')).toBeCloseTo(1);
  });

  it('gives a zero vector for a text without words', () => {
    expect(embedByHashing(' ?! ').every((value) => value === 0)).toBe(true);
  });
});
