import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { callPart } from './answer-parts.js';
import { splitParts, textOfParts } from './emulated-answer.js';

describe('splitParts', () => {
  it('loses nothing, keeps the order and the length', () => {
    const parts = fc.array(
      fc.oneof(
        fc.string(),
        fc.nat().map((id) => callPart('find', { id })),
      ),
    );
    fc.assert(
      fc.property(parts, fc.nat(30), (parts, characters) => {
        const [head, rest] = splitParts(parts, characters);
        expect(textOfParts(head) + textOfParts(rest)).toBe(textOfParts(parts));
        expect(textOfParts(head)).toHaveLength(Math.min(characters, textOfParts(parts).length));
        const others = (all: typeof parts) => all.filter((part) => typeof part !== 'string');
        expect([...others(head as typeof parts), ...others(rest as typeof parts)]).toEqual(others(parts));
      }),
    );
  });
});
