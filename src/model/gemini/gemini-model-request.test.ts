import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { apiKey, ask, chatModel, lastCallTo, run } from '../../../test/support/model-calls.js';
import { ConfigurationError } from '../../core/errors.js';
import { type GeminiEmulator, startGeminiEmulator } from '../../testing.js';
import type { ModelMessage } from '../chat-model.js';
import { GeminiModel, type GeminiModelOptions } from './gemini-model.js';

describe('GeminiModel: the request', () => {
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

  it('carries the key in a header and nothing that was not set', async () => {
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

  it('carries everything that was set', async () => {
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
      safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
    } as const;
    await run(model, ask('hello', { systemInstruction: 'Be brief.', generation }));
    const { thinkingLevel: _, includeThoughts: __, safetySettings, ...plain } = generation;
    expect((await lastCall()).body).toMatchObject({
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      generationConfig: { ...plain, thinkingConfig: { thinkingLevel: 'LOW', includeThoughts: true } },
      safetySettings,
    });
  });

  it('sends pictures in line and files by their address, in order', async () => {
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
          { type: 'file', mimeType: 'video/mp4', uri: 'https://host/files/abc' },
        ],
      },
    ];
    await run(model, ask('', { contents }));
    expect((await lastCall()).body).toMatchObject({
      messages: [
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

  it('sends an earlier answer back verbatim to the model that gave it, and as plain text to another', async () => {
    const first = await run(model, ask('one', { generation: { includeThoughts: true } }));
    const parts = first.finish?.parts ?? [];
    expect(JSON.stringify(parts)).toContain('thoughtSignature');
    const messages: readonly ModelMessage[] = [
      { role: 'user', parts: [{ type: 'text', text: 'one' }] },
      { role: 'model', parts: [{ type: 'text', text: 'plain' }], verbatim: { model: chatModel, parts } },
      { role: 'user', parts: [{ type: 'text', text: 'two' }] },
    ];
    // As memory keeps them: through JSON.
    await run(model, ask('', { messages: JSON.parse(JSON.stringify(contents)) }));
    expect((await lastCall()).contents[1]).toEqual({ role: 'model', parts });
    await run(model, ask('', { contents, model: 'gemini-3.5-flash-lite' }));
    expect((await lastCall()).contents[1]).toEqual({ role: 'model', parts: [{ text: 'plain' }] });
  });

  it('goes where GOOGLE_GEMINI_BASE_URL says, whatever other variables of the SDK say', async () => {
    vi.stubEnv('GOOGLE_GEMINI_BASE_URL', `${emulator.url}/`);
    vi.stubEnv('GOOGLE_GENAI_USE_VERTEXAI', 'true');
    vi.stubEnv('GOOGLE_CLOUD_PROJECT', 'elsewhere');
    expect((await run(new GeminiModel())).end).toBe('stop');
    expect((await lastCall()).key).toBe(apiKey);
  });

  it('uses the API version that it is given', async () => {
    await run(newModel({ apiVersion: 'v1' }));
    expect((await lastCall()).path).toMatch(/^\/v1\//);
  });

  it('refuses a base URL that is none', () => {
    expect(() => new GeminiModel({ baseUrl: 'localhost:9' })).toThrow(ConfigurationError);
  });

  it('leaves no time limit to undici, whose 300 s would cut a longer one short', async () => {
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
