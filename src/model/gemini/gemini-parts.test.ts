import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { geminiPart } from '../../../test/support/gemini-parts.js';
import { fromMessagePart, toMessagePart } from './gemini-parts.js';

const throughJson = <T>(value: T): T => JSON.parse(JSON.stringify(value));

describe('toMessagePart', () => {
  it.each([
    [{ text: 'a' }, { type: 'text', text: 'a' }],
    [
      { text: 'a', thought: true },
      { type: 'reasoning', text: 'a' },
    ],
    [
      { text: 'a', thoughtSignature: 's' },
      { type: 'text', text: 'a', providerMetadata: { google: { thoughtSignature: 's' } } },
    ],
    [
      { functionCall: { id: '7', name: 'look', args: { at: 3 } } },
      {
        type: 'tool-call',
        callId: '7',
        name: 'look',
        input: { at: 3 },
        providerMetadata: { google: { part: { functionCall: { id: '7', name: 'look', args: { at: 3 } } } } },
      },
    ],
    [
      { hologram: { depth: 3 } },
      { type: 'provider', providerMetadata: { google: { part: { hologram: { depth: 3 } } } } },
    ],
  ])('makes of %j the neutral part', (part, expected) => {
    expect(toMessagePart(part)).toEqual(expected);
  });

  it('gives calls without an id one of their own, also two of the same function', () => {
    const [first, second] = [1, 2].map(() => toMessagePart({ functionCall: { name: 'look' } }));
    expect(first).toMatchObject({ type: 'tool-call', callId: expect.stringMatching(/./), input: {} });
    expect(second).not.toEqual(first);
  });
});

describe('fromMessagePart', () => {
  it('restores any part of Gemini exactly, also after JSON', () => {
    fc.assert(
      fc.property(geminiPart, (part) => {
        const converted = toMessagePart(part);
        expect(fromMessagePart(converted)).toEqual(part);
        expect(fromMessagePart(throughJson(converted))).toEqual(part);
      }),
      { numRuns: 1_000 },
    );
  });

  it('has no form for what another provider alone understands', () => {
    expect(
      fromMessagePart({ type: 'provider', providerMetadata: { acme: { part: { x: 1 } } } }),
    ).toBeUndefined();
    const text = { type: 'text', text: 'a', providerMetadata: { acme: { id: 1 } } } as const;
    expect(fromMessagePart(text)).toEqual({
      text: 'a',
    });
  });
});
