import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConversationIndex } from './conversation-index.js';
import { packTermBlock } from './pack-term-block.js';
import { TermBlock } from './term-block.js';

type Documents = readonly { readonly sequence: number; readonly text: string }[];

/** English, German and Spanish, each with its stop words. */
const words =
  'tea teas the Ann: Bo: café 狐狸 🙂 what painting painted paints und Häuser Haus nicht los libros libro pero';
const word = fc.constantFrom(...words.split(' '));
const text = fc.array(word, { maxLength: 80 }).map((chosen) => chosen.join(' '));
const documentsFrom = (first: number) => (gaps: readonly (readonly [number, string])[]) => {
  let sequence = first;
  return gaps.map(([gap, each]) => {
    sequence += 1 + gap;
    return { sequence, text: each };
  });
};
const documents = fc.array(fc.tuple(fc.nat(3), text), { maxLength: 12 }).map(documentsFrom(255));

function addLoose(index: ConversationIndex, each: Documents): void {
  for (const document of each) index.add(document.sequence, document.text);
}
function addPacked(index: ConversationIndex, each: Documents): void {
  const block = TermBlock.unpack(packTermBlock(each, 256));
  if (!block) throw new Error('A block that was just packed is not read.');
  index.addBlock(block, 256);
}

describe('TermBlock', () => {
  it('ranks from its bytes like its documents added one by one, in any language of the query', () => {
    const queries = fc.array(text, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        documents,
        queries,
        fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
        (each, asked, packed) => {
          const apart = new ConversationIndex();
          const together = new ConversationIndex();
          const third = Math.ceil(each.length / 3);
          for (const [part, isPacked] of packed.entries()) {
            const some = each.slice(part * third, (part + 1) * third);
            addLoose(apart, some);
            (isPacked ? addPacked : addLoose)(together, some);
            for (const query of asked) expect(together.search(query, 99)).toEqual(apart.search(query, 99));
          }
        },
      ),
    );
  });

  it('counts a word of a hundred thousand letters, and no words at all', () => {
    const index = new ConversationIndex();
    addPacked(index, [
      { sequence: 256, text: '' },
      { sequence: 258, text: 'x'.repeat(100_000) },
    ]);
    expect(index.search('x'.repeat(100_000), 1).map(({ sequence }) => sequence)).toEqual([258]);
    addPacked(index, []);
    expect(index.size).toBe(2);
  });

  it('is not read if another version or machine wrote it, or its end is missing', () => {
    const packed = packTermBlock([{ sequence: 0, text: 'tea' }], 0);
    expect(TermBlock.unpack(packed)).toBeDefined();
    expect(TermBlock.unpack(packed.subarray(0, packed.length - 1))).toBeUndefined();
    expect(TermBlock.unpack(packed.subarray(0, 3))).toBeUndefined();
    packed[0] = 77;
    expect(TermBlock.unpack(packed)).toBeUndefined();
  });
});
