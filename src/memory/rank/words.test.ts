import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitWords } from './words.js';

describe('splitWords', () => {
  it.each([
    ['Hello, World! 42 times', ['hello', 'world', '42', 'times']],
    ["It's John's; don't", ['its', 'johns', 'dont']],
    ['It’s Zoë’s café', ['its', 'zoes', 'cafe']],
    ['naïve ÜBER-größe', ['naive', 'uber', 'große']],
    ['ＦＵＬＬ width ﬁne', ['full', 'width', 'fine']],
    ['ΘΆΛΑΣΣΑ', ['θαλασσα']],
    ['Москва́ й', ['москва', 'и']],
    ['我们在公园', ['我们', '们在', '在公', '公园']],
    ['狐', ['狐']],
    ['iPhone15を買う', ['iphone15', 'を買', '買う']],
    ['हिन्दी में', ['हिन्दी', 'में']],
    ['한국어 공부', ['한국어', '공부']],
    ['', []],
    ['🙂 -- !?', []],
  ])('splits %j', (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });

  it('splits its own words into the same words, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const words = splitWords(text);
        expect(words.every((word) => word !== '')).toBe(true);
        for (const word of words) expect(splitWords(word)).toEqual([word]);
      }),
      { numRuns: 300 },
    );
  });

  it.each(['word ', '単語。'])(
    'splits a bounded part of a long text, its beginning and its end: %s',
    (piece) => {
      const words = splitWords(`first ${piece.repeat(2_000_000)} last`);
      expect([words[0], words.at(-1)]).toEqual(['first', 'last']);
      expect(words.length).toBeLessThan(200_000);
    },
  );
});
