import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ask,
  candidatesOf,
  chunksOf,
  partsOf,
  promptOf,
  textOf,
} from '../../../../test/support/gemini-wire.js';
import { type GeminiEmulator, startGeminiEmulator } from '../gemini-emulator.js';
import type { WireGenerateRequest, WireTool } from '../wire/messages.js';

let emulator: GeminiEmulator;
beforeAll(async () => {
  emulator = await startGeminiEmulator();
});
afterAll(() => emulator.close());

const withTools = (prompt: string, ...tools: readonly WireTool[]): WireGenerateRequest => ({
  ...promptOf(prompt),
  tools,
});

async function groundingFor(prompt: string, ...tools: readonly WireTool[]) {
  const received = await ask(emulator, withTools(prompt, ...tools));
  const { groundingMetadata } = candidatesOf(received).at(-1) ?? {};
  const text = Buffer.from(textOf(received));
  for (const { segment } of groundingMetadata?.groundingSupports ?? [])
    expect(text.subarray(segment.startIndex ?? 0, segment.endIndex).toString()).toBe(segment.text);
  return groundingMetadata;
}

describe('an answer that is not scripted', () => {
  it('has sources and suggestions if the request offers a search', async () => {
    const metadata = await groundingFor('Züge <nach> "Genf"', { googleSearch: {} });
    expect(metadata?.groundingChunks?.map(({ web }) => web?.title)).toEqual(['example.com', 'example.org']);
    expect(metadata?.groundingSupports).toHaveLength(1);
    expect(metadata?.webSearchQueries).toEqual(['Züge <nach> "Genf"']);
    expect(metadata?.searchEntryPoint?.renderedContent).toContain('Züge &#60;nach&#62; &#34;Genf&#34;</a>');
  });

  it('has places and files as sources', async () => {
    const maps = await groundingFor('Where?', { googleMaps: { enableWidget: true } });
    expect(maps?.groundingChunks).toMatchObject([{ maps: { placeId: 'places/emulated-cafe' } }]);
    expect(maps?.googleMapsWidgetContextToken).toBeTruthy();
    const files = await groundingFor('What?', {
      fileSearch: { fileSearchStoreNames: ['fileSearchStores/a'] },
    });
    expect(files?.groundingChunks).toMatchObject([
      { retrievedContext: { fileSearchStore: 'fileSearchStores/a' } },
    ]);
  });

  it('has the pages that the prompt names', async () => {
    const received = await ask(emulator, withTools('See https://a.test/b?c=1, please.', { urlContext: {} }));
    expect(candidatesOf(received).at(-1)).toMatchObject({
      urlContextMetadata: {
        urlMetadata: [
          { retrievedUrl: 'https://a.test/b?c=1', urlRetrievalStatus: 'URL_RETRIEVAL_STATUS_SUCCESS' },
        ],
      },
      groundingMetadata: { groundingChunks: [{ web: { uri: 'https://a.test/b?c=1', title: 'a.test' } }] },
    });
  });

  it('has code with a right result, and counts of its tools', async () => {
    const received = await ask(emulator, withTools('🍂 fünf', { codeExecution: {} }, { googleSearch: {} }));
    const [code, result] = partsOf(received);
    expect(code?.executableCode).toEqual({
      language: 'PYTHON',
      code: 'prompt = "🍂 fünf"\nprint(len(prompt))\n',
    });
    expect(result?.codeExecutionResult).toEqual({ outcome: 'OUTCOME_OK', output: '6\n' });
    const { promptTokenCount, candidatesTokenCount, totalTokenCount, toolUsePromptTokenCount } =
      chunksOf(received).at(-1)?.usageMetadata ?? {};
    expect(toolUsePromptTokenCount).toBeGreaterThan(0);
    expect(totalTokenCount).toBe(
      (promptTokenCount ?? 0) + (candidatesTokenCount ?? 0) + (toolUsePromptTokenCount ?? 0),
    );
  });

  it('has none of them if JSON is asked for', async () => {
    const request = {
      ...withTools('What?', { googleSearch: {} }, { codeExecution: {} }),
      generationConfig: { responseMimeType: 'application/json' },
    };
    const received = await ask(emulator, request);
    expect(JSON.parse(textOf(received))).toHaveProperty('emulator', true);
    expect(candidatesOf(received).some(({ groundingMetadata }) => groundingMetadata)).toBe(false);
  });

  it.each([
    [['TEXT', 'IMAGE'], {}, [1024, 1024], true],
    [['IMAGE'], { aspectRatio: '16:9', imageSize: '2K' }, [2731, 1536], false],
    [undefined, { aspectRatio: 'wide' }, [1024, 1024], true],
  ])('has a picture of the prompt with %j and %j', async (responseModalities, imageConfig, size, hasText) => {
    const generationConfig = { imageConfig, ...(responseModalities && { responseModalities }) };
    const request = { ...promptOf('a red boat'), generationConfig };
    const received = await ask(emulator, request, { model: 'gemini-3-pro-image' });
    const picture = partsOf(received).find(({ inlineData }) => inlineData);
    const bytes = Buffer.from(picture?.inlineData?.data ?? '', 'base64');
    const { width, height } = await sharp(bytes).metadata();
    expect([width, height]).toEqual(size);
    expect(bytes.includes('a red boat')).toBe(true);
    expect(textOf(received) !== '').toBe(hasText);
  });

  it('is sound if a model of speech answers', async () => {
    const received = await ask(emulator, promptOf('Say it'), { model: 'gemini-3.8-flash-tts' });
    expect(partsOf(received).map(({ inlineData }) => inlineData?.mimeType)).toEqual(['audio/wav']);
  });

  it('keeps halves of characters from breaking it', async () => {
    const received = await ask(emulator, withTools('\ud83c', { googleSearch: {}, codeExecution: {} }));
    expect(received.status).toBe(200);
  });
});
