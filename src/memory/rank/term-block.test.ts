import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConversationIndex } from './conversation-index.js';
import { makeTermBlock, packTermBlock, unpackTermBlock } from './term-block.js';

const word = fc.constantFrom('tea', 'teas', 'the', 'Ann:', 'café', '狐狸', '🙂', 'what', 'painting');
const text = fc.array(word, { maxLength: 80 }).map((words) => words.join(' '));
const documentsFrom = (first: number) => (gaps: readonly (readonly [number, string])[]) => {
  let sequence = first;
  return gaps.map(([gap, each]) => {
    sequence += 1 + gap;
    return { sequence, text: each };
  });
};
const documents = fc.array(fc.tuple(fc.nat(3), text), { maxLength: 12 }).map(documentsFrom(255));

describe('a block of terms', () => {
  it('comes back from its bytes', () => {
    fc.assert(
      fc.property(documents, (each) => {
        const block = makeTermBlock(each);
        const { postingCounts, postings, ...rest } = unpackTermBlock(packTermBlock(block, 256), 256) ?? {};
        expect(rest).toEqual({
          sequences: block.sequences,
          lengths: block.lengths,
          speakers: block.speakers,
          words: block.words,
        });
        expect([...Array.from(postingCounts ?? [])]).toEqual(block.postingCounts);
        expect([...Array.from(postings ?? [])]).toEqual(block.postings);
      }),
    );
  });

  it('ranks as its documents do when they are added one by one', () => {
    fc.assert(
      fc.property(documents, text, (each, query) => {
        const apart = new ConversationIndex();
        for (const { sequence, text: said } of each) apart.add(sequence, said);
        const together = new ConversationIndex();
        const half = each.length >> 1;
        together.addBlock(makeTermBlock(each.slice(0, half)));
        together.addBlock(makeTermBlock(each.slice(half)));
        expect(together.search(query, 99)).toEqual(apart.search(query, 99));
      }),
    );
  });

  it('is not read when another version or machine wrote it', () => {
    const packed = packTermBlock(makeTermBlock([{ sequence: 0, text: 'tea' }]), 0);
    packed[0] = 77;
    expect(unpackTermBlock(packed, 0)).toBeUndefined();
  });
});
