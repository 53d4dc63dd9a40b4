import { ALL_FORMATS, BufferSource, Input } from 'mediabunny';
import sharp from 'sharp';
import { afterEach, describe, expect, it } from 'vitest';
import { createStarter } from '../../../../test/support/emulated-gemini.js';
import {
  type AskOptions,
  ask,
  candidatesOf,
  chunksOf,
  partsOf,
  promptOf,
  textOf,
} from '../../../../test/support/gemini-wire.js';
import { callPart, codeParts, groundingOf, picturePart, tonePart } from './answer-parts.js';
import type { EmulatedAnswer } from './emulated-answer.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

async function receive(answer: EmulatedAnswer, options?: AskOptions) {
  const { emulator } = await start();
  emulator.say(answer);
  return ask(emulator, promptOf('Hello'), options);
}

const bytesOf = (part: { inlineData?: { data?: string } } | undefined) =>
  Buffer.from(part?.inlineData?.data ?? '', 'base64');

describe('a scripted answer', () => {
  it('holds a picture that decodes, of the given size, signed', async () => {
    const picture = picturePart('a cat', { width: 96, height: 54 });
    const [text, sent] = partsOf(await receive({ parts: [{ text: 'A cat.' }, picture] }));
    expect(text?.thoughtSignature).toBeUndefined();
    expect(sent?.thoughtSignature).toMatch(/^[\w+/=]+$/);
    expect(sent?.inlineData?.mimeType).toBe('image/png');
    const { width, height, format } = await sharp(bytesOf(sent)).metadata();
    expect([width, height, format]).toEqual([96, 54, 'png']);
    const pixels = await sharp(bytesOf(sent)).raw().toBuffer();
    expect(
      pixels.equals(
        await sharp(bytesOf(picturePart('a dog', { width: 96, height: 54 })))
          .raw()
          .toBuffer(),
      ),
    ).toBe(false);
    expect(bytesOf(sent).includes('a cat')).toBe(true);
  });

  it('holds sound that decodes, of the given length', async () => {
    const [sent] = partsOf(await receive({ parts: [tonePart({ durationMs: 750 })] }));
    expect(sent?.inlineData?.mimeType).toBe('audio/wav');
    const input = new Input({ source: new BufferSource(bytesOf(sent)), formats: ALL_FORMATS });
    expect(await input.computeDuration()).toBeCloseTo(0.75, 3);
  });

  it('holds code and what it printed', async () => {
    const sent = partsOf(await receive({ parts: [...codeParts('print(6 * 7)', '42\n'), 'It is 42.'] }));
    expect(sent.slice(0, 2)).toEqual([
      { executableCode: { language: 'PYTHON', code: 'print(6 * 7)' } },
      { codeExecutionResult: { outcome: 'OUTCOME_OK', output: '42\n' } },
    ]);
  });

  it('holds parallel calls, of which only the first is signed', async () => {
    const parts = [callPart('find', { id: 7 }, { id: 'call-1' }), callPart('find', { id: 8 })];
    const sent = partsOf(await receive({ parts }));
    expect(sent.map(({ functionCall }) => functionCall)).toEqual([
      { id: 'call-1', name: 'find', args: { id: 7 } },
      { name: 'find', args: { id: 8 } },
    ]);
    expect(sent.map(({ thoughtSignature }) => thoughtSignature !== undefined)).toEqual([true, false]);
  });

  it('keeps a signature of its own, also on an empty text', async () => {
    const sent = partsOf(await receive({ parts: ['Hi', { text: '', thoughtSignature: 'bWluZQ==' }] }));
    expect(sent.at(-1)).toEqual({ text: '', thoughtSignature: 'bWluZQ==' });
    expect(sent.slice(0, -1).every(({ thoughtSignature }) => thoughtSignature === undefined)).toBe(true);
  });

  it('has its metadata on the last candidate, and its own counts', async () => {
    const candidate = {
      finishReason: 'STOP',
      finishMessage: 'Done.',
      safetyRatings: [{ category: 'HARM_CATEGORY_HARASSMENT', probability: 'LOW' }],
      citationMetadata: {
        citationSources: [{ startIndex: 0, endIndex: 2, uri: 'https://x.test', license: 'mit' }],
      },
      urlContextMetadata: {
        urlMetadata: [{ retrievedUrl: 'https://x.test', urlRetrievalStatus: 'URL_RETRIEVAL_STATUS_ERROR' }],
      },
    };
    const usage = { toolUsePromptTokenCount: 7, candidatesTokenCount: undefined };
    const received = await receive({ parts: ['One two three four'], candidate, usage });
    const [last, ...others] = candidatesOf(received).reverse();
    expect(last).toMatchObject(candidate);
    expect(others.some(({ finishMessage }) => finishMessage !== undefined)).toBe(false);
    const counts = chunksOf(received).at(-1)?.usageMetadata;
    expect(counts).toMatchObject({ toolUsePromptTokenCount: 7, promptTokenCount: 2 });
    expect(counts).not.toHaveProperty('candidatesTokenCount');
  });

  it('is the same without streaming, its texts joined', async () => {
    const picture = picturePart('a cat');
    const { text } = await receive(
      { parts: ['One two three', picture, 'four five six'] },
      { method: 'generateContent' },
    );
    const [candidate] = JSON.parse(text).candidates;
    expect(candidate.content.parts).toMatchObject([
      { text: 'One two three' },
      picture,
      { text: 'four five six' },
    ]);
    expect(candidate.finishReason).toBe('STOP');
  });

  it('may have no parts at all', async () => {
    const received = await receive({ parts: [], candidate: { finishReason: 'NO_IMAGE' } });
    expect(candidatesOf(received)).toEqual([{ index: 0, finishReason: 'NO_IMAGE' }]);
  });

  it('may be made from the call', async () => {
    const { emulator } = await start({ answer: ({ texts }) => ({ parts: [`You said ${texts.at(-1)}.`] }) });
    expect(textOf(await ask(emulator, promptOf('Hi')))).toBe('You said Hi.');
  });
});

describe('groundingOf', () => {
  it('counts offsets in bytes and lists a piece once for all its sources', () => {
    const a = { web: { uri: 'https://a.test', title: 'a.test' } };
    const b = { web: { uri: 'https://b.test', title: 'b.test' } };
    const text = 'Zürich liegt am See. 🍂 im Herbst.';
    expect(
      groundingOf(text, [
        { chunk: a, supports: ['Zürich', '🍂 im Herbst.'] },
        { chunk: b, supports: ['🍂 im Herbst.'] },
      ]),
    ).toEqual({
      groundingChunks: [a, b],
      groundingSupports: [
        { segment: { endIndex: 7, text: 'Zürich' }, groundingChunkIndices: [0] },
        { segment: { startIndex: 22, endIndex: 37, text: '🍂 im Herbst.' }, groundingChunkIndices: [0, 1] },
      ],
    });
    expect(() => groundingOf(text, [{ chunk: a, supports: ['Genf'] }])).toThrow(RangeError);
  });
});
