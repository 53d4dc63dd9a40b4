import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { apiKey, ask, chatModel, lastCallTo, run } from '../../../test/support/model-calls.js';
import { type GeminiEmulator, startGeminiEmulator } from '../../testing.js';
import type { ModelMessage } from '../chat-model.js';
import { GeminiModel } from './gemini-model.js';
import type { GeminiModelOptions } from './gemini-model-options.js';

describe('GeminiModel', () => {
  let emulator: GeminiEmulator;
  let model: GeminiModel;
  const newModel = (options: GeminiModelOptions = {}) =>
    new GeminiModel({ baseUrl: emulator.url, ...options });
  const lastCall = () => lastCallTo(emulator);

  beforeAll(async () => {
    emulator = await startGeminiEmulator();
  });
  beforeEach(() => {
    model = newModel();
  });
  afterEach(() => {
    emulator.clearFaults();
    vi.unstubAllEnvs();
  });
  afterAll(() => emulator.close());

  it('sends the key in a header and nothing that was not set', async () => {
    await run(model);
    const { body, key, keyInUrl, path, stream } = await lastCall();
    expect({ key, keyInUrl, path, stream }).toEqual({
      key: apiKey,
      keyInUrl: false,
      path: `/v1beta/models/${chatModel}:streamGenerateContent`,
      stream: true,
    });
    expect(Object.keys(body as object).sort()).toEqual(['contents', 'generationConfig']);
    expect((body as { generationConfig: unknown }).generationConfig).toEqual({});
  });

  it('sends everything that was set', async () => {
    const generation = {
      maxOutputTokens: 99,
      stopSequences: ['END'],
      temperature: 0.5,
      topP: 0.9,
      topK: 7,
      thinkingLevel: 'low',
      includeThoughts: true,
      responseMimeType: 'application/json',
      responseJsonSchema: { type: 'object' },
    } as const;
    const safetySettings = [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }];
    const google = { safetySettings, tools: [{ googleSearch: {} }] };
    const more = { systemInstruction: 'Be brief.', generation, providerOptions: { google } };
    await run(model, ask('hello', more));
    const { thinkingLevel: _, includeThoughts: __, ...plain } = generation;
    expect((await lastCall()).body).toMatchObject({
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      generationConfig: { ...plain, thinkingConfig: { thinkingLevel: 'LOW', includeThoughts: true } },
      ...google,
    });
  });

  it('sends pictures inline and files by their URI, in order', async () => {
    const png = Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
      'base64',
    );
    const messages: readonly ModelMessage[] = [
      {
        role: 'user',
        parts: [
          { type: 'text', text: 'look' },
          { type: 'data', mimeType: 'image/png', data: new Uint8Array(png) },
          { type: 'uri', mimeType: 'video/mp4', uri: 'https://host/files/abc' },
        ],
      },
    ];
    await run(model, ask('', { messages }));
    expect((await lastCall()).body).toMatchObject({
      contents: [
        {
          parts: [
            { text: 'look' },
            { inlineData: { mimeType: 'image/png', data: png.toString('base64') } },
            { fileData: { mimeType: 'video/mp4', fileUri: 'https://host/files/abc' } },
          ],
        },
      ],
    });
  });

  it('sends an answer back as it came over the wire', async () => {
    const first = await run(model, ask('one', { generation: { includeThoughts: true } }));
    const parts = first.finish?.parts ?? [];
    expect(JSON.stringify(parts)).toContain('thoughtSignature');
    const messages: readonly ModelMessage[] = [
      { role: 'user', parts: [{ type: 'text', text: 'one' }] },
      {
        role: 'assistant',
        parts: JSON.parse(JSON.stringify(parts)),
        origin: { provider: 'google', model: chatModel },
      },
      { role: 'user', parts: [{ type: 'text', text: 'two' }] },
    ];
    await run(model, ask('', { messages }));
    const [, back] = (await lastCall()).contents;
    expect(back).toMatchObject({
      role: 'model',
      parts: expect.arrayContaining([{ text: expect.any(String), thought: true }]),
    });
    expect(JSON.stringify(back)).toContain('thoughtSignature');
    await run(model, ask('', { messages, model: 'gemini-3.5-flash-lite' }));
    const plain = (await lastCall()).contents[1];
    expect(plain?.parts?.map(({ text }) => text).join('')).toBe(first.text);
    expect(plain?.parts?.flatMap(Object.keys)).toEqual(plain?.parts?.map(() => 'text'));
  });

  it('goes to GOOGLE_GEMINI_BASE_URL and ignores other variables of the SDK', async () => {
    vi.stubEnv('GOOGLE_GEMINI_BASE_URL', `${emulator.url}/`);
    vi.stubEnv('GOOGLE_GENAI_USE_VERTEXAI', 'true');
    vi.stubEnv('GOOGLE_CLOUD_PROJECT', 'elsewhere');
    expect((await run(new GeminiModel())).end).toBe('stop');
    expect((await lastCall()).key).toBe(apiKey);
  });

  it('uses the given API version', async () => {
    await run(newModel({ apiVersion: 'v1' }));
    expect((await lastCall()).path).toMatch(/^\/v1\//);
  });

  it('turns the 300 s limits of undici off, which would cut a longer limit short', async () => {
    const key = Symbol.for('undici.globalDispatcher.1');
    const holder = globalThis as unknown as Record<
      symbol,
      { dispatch(options: unknown, handler: unknown): boolean }
    >;
    const dispatcher = holder[key];
    if (!dispatcher) throw new Error('Node has no global dispatcher.');
    const dispatch = vi.spyOn(dispatcher, 'dispatch');
    await run(model);
    expect(dispatch).toHaveBeenCalledWith(
      expect.objectContaining({ headersTimeout: 0, bodyTimeout: 0 }),
      expect.anything(),
    );
    dispatch.mockRestore();
  });
});
