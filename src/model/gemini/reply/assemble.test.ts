import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fromMessagePart } from '../gemini-parts.js';
import { ReplyAssembler } from './assemble.js';

/** A picture in base64. */
const picture = (text: string) => ({ mimeType: 'image/png', data: Buffer.from(text).toString('base64') });

const chunk = (parts: readonly unknown[], finishReason?: string) => ({
  candidates: [{ content: { role: 'model', parts }, ...(finishReason ? { finishReason } : {}) }],
});

function assemble(...chunks: readonly Record<string, unknown>[]) {
  const assembler = new ReplyAssembler();
  const events = chunks.flatMap((item) => [...assembler.push(item)]);
  const outcome = assembler.outcome();
  const last = outcome.type === 'finish' ? outcome.events.at(-1) : undefined;
  const finish = last?.type === 'finish' ? last : undefined;
  return { events, outcome, finish };
}

/** The finish event of an answer that has one. */
function finishOf(...chunks: readonly Record<string, unknown>[]) {
  const { finish, outcome } = assemble(...chunks);
  if (!finish) throw new Error(`Ended as ${outcome.type}.`);
  return finish;
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
      const { parts } = finishOf(...chunks, chunk([], 'STOP'));
      expect(parts.map(fromMessagePart)).toEqual(expected);
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
    expect(events).toEqual([
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ]);
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
    ['IMAGE_BRAND_NEW', 'unknown'],
    ['stop', 'stop'],
    ['FINISH_REASON_MAX_TOKENS', 'max-tokens'],
    ['length', 'max-tokens'],
    ['end_turn', 'stop'],
    ['constructor', 'unknown'],
  ])('finishes with %s as %s', (reason, finishReason) => {
    const finish = finishOf(chunk([{ text: 'a' }], reason));
    expect(finish).toMatchObject({ finishReason, info: { rawFinishReason: reason } });
  });

  it.each([
    'SAFETY',
    'BLOCKLIST',
    'PROHIBITED_CONTENT',
    'SPII',
    'RECITATION',
    'LANGUAGE',
    'IMAGE_SAFETY',
    'IMAGE_PROHIBITED_CONTENT',
    'IMAGE_RECITATION',
    'MODEL_ARMOR',
  ])('treats %s as a refusal and keeps the text before it', (reason) => {
    expect(assemble(chunk([{ text: 'part' }], reason)).outcome).toMatchObject({
      type: 'blocked',
      reason,
      partial: 'part',
    });
  });

  it.each<[string, readonly Record<string, unknown>[], string]>([
    ['no chunk at all', [], 'EMPTY_REPLY'],
    ['foreign JSON', [{ hello: 'world' }], 'EMPTY_REPLY'],
    ['no finish reason', [chunk([{ text: 'a' }])], 'NO_FINISH_REASON'],
    ['no candidate', [{ candidates: [] }], 'NO_FINISH_REASON'],
    ['a placeholder', [chunk([{ text: 'a' }], 'FINISH_REASON_UNSPECIFIED')], 'NO_FINISH_REASON'],
    ['the number of a placeholder', [chunk([{ text: 'a' }], 0 as never)], 'NO_FINISH_REASON'],
    ['a finish reason that is no text', [chunk([{ text: 'a' }], {} as never)], 'NO_FINISH_REASON'],
    ['OTHER', [chunk([{ text: 'a' }], 'OTHER')], 'OTHER'],
    ['a malformed call', [chunk([], 'MALFORMED_FUNCTION_CALL')], 'MALFORMED_FUNCTION_CALL'],
    ['a picture that was not drawn', [chunk([], 'NO_IMAGE')], 'NO_IMAGE'],
    ['a part that is not known alone', [chunk([{ hologram: {} }], 'STOP')], 'EMPTY_ANSWER'],
    ['a picture that failed', [chunk([], 'IMAGE_OTHER')], 'IMAGE_OTHER'],
    ['an empty picture', [chunk([{ inlineData: { data: '' } }], 'STOP')], 'EMPTY_ANSWER'],
    [
      'a draft of a picture alone',
      [chunk([{ inlineData: picture('draft'), thought: true }], 'STOP')],
      'EMPTY_ANSWER',
    ],
    ['steps of a tool alone', [chunk([{ toolCall: { id: '1' } }], 'STOP')], 'EMPTY_ANSWER'],
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

  it.each([
    ['a picture', { inlineData: picture('boat') }, 'file'],
    ['code', { executableCode: { language: 'PYTHON', code: '1' } }, 'code'],
    ['a call', { functionCall: { name: 'look', args: {} } }, 'tool-call'],
  ])('accepts an answer that is only %s', (_, part, type) => {
    const { events, finish } = assemble(chunk([part], 'STOP'));
    expect(events.map((event) => event.type)).toEqual([type]);
    expect(finish?.parts.map((each) => each.type)).toEqual([type]);
  });

  it('accepts words in place of a picture', () => {
    expect(assemble(chunk([{ text: 'I cannot draw that.' }], 'NO_IMAGE')).finish).toMatchObject({
      finishReason: 'unknown',
      info: { rawFinishReason: 'NO_IMAGE' },
    });
  });

  it('joins the raw samples of speech to one file that players know', () => {
    const samples = (bytes: readonly number[]) => ({
      inlineData: { mimeType: 'audio/L16;codec=pcm;rate=16000', data: Buffer.from(bytes).toString('base64') },
    });
    const { finish, outcome } = assemble(
      chunk([samples([1, 2, 3, 4])]),
      chunk([samples([5, 6])]),
      chunk([], 'STOP'),
    );
    const ending = outcome.type === 'finish' ? outcome.events : [];
    const [event, ...others] = ending.filter(({ type }) => type === 'file');
    if (event?.type !== 'file') throw new Error('There is no file.');
    const wav = Buffer.from(event.file.data);
    expect(others).toEqual([]);
    expect(event.file).toMatchObject({ mimeType: 'audio/wav', name: 'audio-1.wav' });
    expect([wav.readUInt32LE(24), wav.readUInt16LE(22), wav.readUInt32LE(40)]).toEqual([16_000, 1, 6]);
    expect([...wav.subarray(44)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(finish?.parts).toMatchObject([{ type: 'file', fingerprint: event.file.fingerprint, bytes: 50 }]);
  });

  it('puts what is to be read into events and, but for bytes, into the parts', () => {
    const { events, finish } = assemble(
      chunk([
        { executableCode: { language: 'PYTHON', code: 'print(6*7)' } },
        { codeExecutionResult: { outcome: 'OUTCOME_OK', output: '42' } },
        { inlineData: { ...picture('one'), displayName: 'x' }, thoughtSignature: 's' },
        { inlineData: { ...picture('two'), mimeType: 'image/jpeg' } },
        { functionCall: { name: 'look', args: { at: 3 } } },
      ]),
      chunk([], 'STOP'),
    );
    const [code, result, first, second, call] = finish?.parts ?? [];
    expect(events).toMatchObject([
      { type: 'code', code },
      { type: 'code-result', result },
      {
        type: 'file',
        file: { name: 'image-1.png', mimeType: 'image/png', data: new Uint8Array(Buffer.from('one')) },
      },
      { type: 'file', file: { name: 'image-2.jpg', mimeType: 'image/jpeg' } },
      { type: 'tool-call', call },
    ]);
    expect(code).toMatchObject({ type: 'code', code: 'print(6*7)', language: 'python' });
    expect(result).toMatchObject({ type: 'code-result', outcome: 'ok', output: '42' });
    const fingerprint = createHash('sha256').update('one').digest('hex');
    expect(first).toEqual({
      ...{ type: 'file', mimeType: 'image/png', name: 'image-1.png', bytes: 3, fingerprint },
      providerMetadata: { google: { thoughtSignature: 's' } },
    });
    expect(second).not.toHaveProperty('providerMetadata');
    expect(call).toMatchObject({ name: 'look', input: { at: 3 }, callId: expect.stringMatching(/./) });
  });

  it('reads the first of several candidates', () => {
    const of = (index: number, text: string) => ({
      candidates: [{ index, content: { parts: [{ text }] }, finishReason: 'STOP' }],
    });
    const { events } = assemble(of(0, 'a'), of(1, 'x'), of(0, 'b'), of(1, 'y'));
    expect(events).toMatchObject([{ text: 'a' }, { text: 'b' }]);
  });

  it('passes on what the service says about the answer', () => {
    const ratings = [{ category: 'HARM_CATEGORY_HATE_SPEECH', probability: 'LOW', blocked: false }];
    const { info } = finishOf({
      responseId: 'r1',
      modelVersion: 'gemini-3.8-flash-001',
      candidates: [
        {
          content: { parts: [{ text: 'a' }] },
          finishReason: 'STOP',
          finishMessage: 'Done.',
          safetyRatings: ratings,
          groundingMetadata: {
            webSearchQueries: ['boats'],
            searchEntryPoint: { renderedContent: '<b>boats</b>' },
          },
        },
      ],
    });
    expect(info).toEqual({
      responseId: 'r1',
      modelVersion: 'gemini-3.8-flash-001',
      rawFinishReason: 'STOP',
      finishMessage: 'Done.',
      safetyRatings: ratings,
      searchSuggestions: { queries: ['boats'], html: '<b>boats</b>' },
    });
  });

  it('keeps ratings that a later chunk leaves out, and those of the prompt only without any of the answer', () => {
    const rated = (category: string) => [{ category, probability: 'LOW' }];
    const text = (more = {}) => ({ candidates: [{ content: { parts: [{ text: 'a' }] }, ...more }] });
    const prompt = { promptFeedback: { safetyRatings: rated('PROMPT') } };
    const end = text({ finishReason: 'STOP' });
    const ratingsOf = (...chunks: readonly Record<string, unknown>[]) =>
      finishOf(...chunks, end).info?.safetyRatings;
    expect(ratingsOf(prompt, { ...text(), promptFeedback: {} })).toEqual(rated('PROMPT'));
    expect(
      ratingsOf(prompt, text({ safetyRatings: rated('ANSWER') }), text({ safetyRatings: [{}] })),
    ).toEqual(rated('ANSWER'));
  });

  it('says what the service said about a refusal', () => {
    const promptFeedback = { blockReason: 'OTHER', blockReasonMessage: 'Contains a riddle.' };
    expect(assemble({ promptFeedback }).outcome).toMatchObject({
      type: 'blocked',
      message: 'The prompt was refused by Gemini (OTHER: Contains a riddle): put the request in other words.',
    });
  });

  it('gives the token of an answer that goes on, also before its first word', () => {
    const goingOn = (parts: readonly unknown[], continuationToken?: string) => ({
      candidates: [{ content: { parts }, finishReason: 'CONTINUATION', continuationToken }],
    });
    expect(finishOf(goingOn([{ text: 'a' }], 'next'))).toMatchObject({
      finishReason: 'max-tokens',
      continuation: 'next',
    });
    expect(finishOf(goingOn([{ text: 'hm', thought: true }], 'next')).continuation).toBe('next');
    expect(finishOf(goingOn([{ text: 'a' }])).continuation).toBeUndefined();
  });

  it('calls a history without a signature a fault of the request', () => {
    expect(assemble(chunk([], 'MISSING_THOUGHT_SIGNATURE')).outcome).toMatchObject({
      type: 'incomplete',
      kind: 'invalid-request',
    });
  });

  it.each([
    [{}, undefined],
    [{ promptTokenCount: 3 }, { inputTokens: 3 }],
    [
      { toolUsePromptTokenCount: 9, candidatesTokenCount: 0, totalTokenCount: 9, promptTokenCount: 'x' },
      { toolTokens: 9, outputTokens: 0, totalTokens: 9 },
    ],
  ])('reports of the counts %j only those that were sent', (usageMetadata, usage) => {
    expect(finishOf({ ...chunk([{ text: 'a' }], 'STOP'), usageMetadata }).usage).toEqual(usage);
  });

  it('reports usage from the last counts that were sent', () => {
    const finish = finishOf(
      {
        ...chunk([{ text: 'a' }]),
        usageMetadata: { promptTokenCount: 10, cachedContentTokenCount: 4, totalTokenCount: 11 },
      },
      {
        ...chunk([], 'STOP'),
        usageMetadata: { candidatesTokenCount: 5, thoughtsTokenCount: 7, totalTokenCount: 22 },
      },
    );
    expect(finish.usage).toEqual({
      ...{ inputTokens: 10, outputTokens: 5, thoughtTokens: 7, totalTokens: 22, cachedInputTokens: 4 },
    });
  });
});
