import { describe, expect, it } from 'vitest';
import { ReplyAssembler } from './assemble.js';
import { fromMessagePart } from './gemini-parts.js';

const chunk = (parts: readonly unknown[], finishReason?: string) => ({
  candidates: [{ content: { role: 'model', parts }, ...(finishReason ? { finishReason } : {}) }],
});

function assemble(...chunks: readonly unknown[]) {
  const assembler = new ReplyAssembler();
  const events = chunks.flatMap((item) => [...assembler.push(item)]);
  return { events, outcome: assembler.outcome() };
}

describe('ReplyAssembler', () => {
  it.each([
    ['plain text is merged', [{ text: 'a' }, { text: 'b' }], [{ text: 'ab' }]],
    [
      'thoughts and text stay apart',
      [{ text: 'a', thought: true }, { text: 'b', thought: true }, { text: 'c' }],
      [{ text: 'ab', thought: true }, { text: 'c' }],
    ],
    [
      'a signed part is neither merged nor merged into',
      [{ text: 'a' }, { text: 'b', thoughtSignature: 's' }, { text: 'c' }, { text: 'd' }],
      [{ text: 'a' }, { text: 'b', thoughtSignature: 's' }, { text: 'cd' }],
    ],
    [
      'a part that is only a signature is kept',
      [{ text: 'a' }, { text: '', thoughtSignature: 's' }],
      [{ text: 'a' }, { text: '', thoughtSignature: 's' }],
    ],
    ['empty text is dropped', [{ text: '' }, { text: 'a' }], [{ text: 'a' }]],
    [
      'an unknown kind of part is kept as it is',
      [{ text: 'a' }, { hologram: { depth: 3 } }],
      [{ text: 'a' }, { hologram: { depth: 3 } }],
    ],
  ])('keeps parts for sending back: %s', (_, parts, expected) => {
    // Each part in a chunk of its own, as a stream brings them, then all in one chunk.
    for (const chunks of [parts.map((part) => chunk([part])), [chunk(parts)]]) {
      const { outcome } = assemble(...chunks, chunk([], 'STOP'));
      if (outcome.type !== 'finish') throw new Error(`Ended as ${outcome.type}.`);
      expect(outcome.event.parts.map(fromMessagePart)).toEqual(expected);
    }
  });

  it('returns thoughts and text as separate events', () => {
    const { events } = assemble(chunk([{ text: 'hm', thought: true }, { text: 'yes' }], 'STOP'));
    expect(events).toEqual([
      { type: 'thought', text: 'hm' },
      { type: 'text', text: 'yes' },
    ]);
  });

  it('reads on after a STOP', () => {
    const { events } = assemble(chunk([{ text: 'a' }], 'STOP'), chunk([{ text: 'b' }], 'STOP'));
    expect(events.map((event) => event.text)).toEqual(['a', 'b']);
  });

  it('does not change the chunks it is given', () => {
    const first = chunk([{ text: 'a' }]);
    assemble(first, chunk([{ text: 'b' }], 'STOP'));
    expect(first).toEqual(chunk([{ text: 'a' }]));
  });

  it.each([
    ['STOP', 'stop'],
    ['MAX_TOKENS', 'max-tokens'],
    ['BRAND_NEW', 'unknown'],
    ['FINISH_REASON_UNSPECIFIED', 'unknown'],
    ['constructor', 'unknown'],
  ])('finishes with %s as %s', (reason, finishReason) => {
    expect(assemble(chunk([{ text: 'a' }], reason)).outcome).toMatchObject({
      type: 'finish',
      event: { finishReason },
    });
  });

  it.each([
    'SAFETY',
    'BLOCKLIST',
    'PROHIBITED_CONTENT',
    'SPII',
    'RECITATION',
    'LANGUAGE',
    'IMAGE_SAFETY',
    'IMAGE_BRAND_NEW',
  ])('treats %s as a refusal and keeps the text before it', (reason) => {
    expect(assemble(chunk([{ text: 'part' }], reason)).outcome).toMatchObject({
      type: 'blocked',
      reason,
      partial: 'part',
    });
  });

  it.each<[string, readonly unknown[], string]>([
    ['no chunk at all', [], 'EMPTY_REPLY'],
    ['foreign JSON', [{ hello: 'world' }, 7, null], 'EMPTY_REPLY'],
    ['no finish reason', [chunk([{ text: 'a' }])], 'NO_FINISH_REASON'],
    ['no candidate', [{ candidates: [] }], 'NO_FINISH_REASON'],
    ['OTHER', [chunk([{ text: 'a' }], 'OTHER')], 'OTHER'],
    ['a malformed call', [chunk([], 'MALFORMED_FUNCTION_CALL')], 'MALFORMED_FUNCTION_CALL'],
    ['STOP without a word', [chunk([], 'STOP')], 'EMPTY_ANSWER'],
    ['STOP after white space', [chunk([{ text: ' \n' }], 'STOP')], 'EMPTY_ANSWER'],
    [
      'STOP after thoughts alone',
      [chunk([{ text: 'hm', thought: true }, { thoughtSignature: 's' }], 'STOP')],
      'EMPTY_ANSWER',
    ],
    ['an unknown reason without a word', [chunk([], 'BRAND_NEW')], 'EMPTY_ANSWER'],
    ['tokens used up by thinking', [chunk([{ text: 'hm', thought: true }], 'MAX_TOKENS')], 'MAX_TOKENS'],
  ])('treats %s as incomplete', (_, chunks, reason) => {
    expect(assemble(...chunks).outcome).toMatchObject({ type: 'incomplete', reason });
  });

  it('accepts an answer that has other content than text', () => {
    const { outcome } = assemble(chunk([{ inlineData: { mimeType: 'image/png', data: '' } }], 'STOP'));
    expect(outcome.type).toBe('finish');
  });

  it('reports usage from the last counts that were sent', () => {
    const { outcome } = assemble(
      {
        ...chunk([{ text: 'a' }]),
        usageMetadata: { promptTokenCount: 10, cachedContentTokenCount: 4, totalTokenCount: 11 },
      },
      {
        ...chunk([], 'STOP'),
        usageMetadata: { candidatesTokenCount: 5, thoughtsTokenCount: 7, totalTokenCount: 22 },
      },
    );
    expect(outcome).toMatchObject({
      event: {
        usage: { inputTokens: 10, outputTokens: 5, thoughtTokens: 7, totalTokens: 22, cachedInputTokens: 4 },
      },
    });
  });
});
