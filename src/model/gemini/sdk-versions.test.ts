import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { apiKey, ask, run } from '../../../test/support/model-calls.js';
import { event, startRawServer, textChunk } from '../../../test/support/raw-replies.js';
import { chatModelContract, FakeKeyPool, geminiModelFixture, startGeminiEmulator } from '../../testing.js';

describe.each([
  ['2', () => vi.importActual('@google/genai')],
  ['3', () => import('genai-3')],
])('with version %s of @google/genai', (major, load) => {
  let GeminiModel: typeof import('./gemini-model.js').GeminiModel;
  let GeminiEmbedder: typeof import('./gemini-embedder.js').GeminiEmbedder;
  beforeAll(async () => {
    vi.resetModules();
    vi.doMock('@google/genai', load);
    ({ GeminiModel } = await import('./gemini-model.js'));
    ({ GeminiEmbedder } = await import('./gemini-embedder.js'));
  });
  afterAll(() => {
    vi.doUnmock('@google/genai');
    vi.resetModules();
  });

  for (const { name: title, run: check } of chatModelContract(() =>
    geminiModelFixture((baseUrl) => new GeminiModel({ baseUrl })),
  )) {
    it(title, check);
  }

  it('sends the whole request in the form that Gemini takes', async () => {
    await using server = await startRawServer((response) => {
      response.end(event(textChunk('Hello.', 'STOP')));
    });
    const generation = {
      thinkingLevel: 'low',
      includeThoughts: true,
      seed: 7,
      stopSequences: ['END'],
      responseMimeType: 'application/json',
      responseJsonSchema: { type: 'object' },
    } as const;
    const maps = { latitude: 48.1, longitude: 11.6 };
    const builtIn = { search: true, urls: true, code: true, maps, fileSearch: { stores: ['stores/a'] } };
    const request = ask('hello', {
      ...{ generation, builtIn, systemInstruction: 'Be brief.', continuation: 'dG9rZW4=' },
      providerOptions: { google: { tools: [{ functionDeclarations: [{ name: 'look' }] }] } },
    });
    expect((await run(new GeminiModel({ baseUrl: server.url }), request)).end).toBe('stop');
    const [received] = server.requests;
    expect(received?.url).toBe('/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse');
    expect(received?.headers['x-goog-api-key']).toBe(apiKey);
    // The mock is in place: the SDK names its version.
    expect(received?.headers['x-goog-api-client']).toContain(`google-genai-sdk/${major}.`);
    expect(received?.body).toEqual({
      contents: [{ role: 'user', parts: [{ text: 'hello' }] }],
      systemInstruction: { role: 'user', parts: [{ text: 'Be brief.' }] },
      tools: [
        { googleSearch: {} },
        { urlContext: {} },
        { codeExecution: {} },
        { googleMaps: {} },
        { fileSearch: { fileSearchStoreNames: ['stores/a'] } },
        { functionDeclarations: [{ name: 'look' }] },
      ],
      toolConfig: { retrievalConfig: { latLng: maps } },
      continuationToken: 'dG9rZW4=',
      generationConfig: {
        ...{ seed: 7, stopSequences: ['END'] },
        ...{ responseMimeType: 'application/json', responseJsonSchema: { type: 'object' } },
        thinkingConfig: { thinkingLevel: 'LOW', includeThoughts: true },
      },
    });
  });

  it('gets a picture with its signature and sends both back', async () => {
    const signed = { inlineData: { mimeType: 'image/png', data: 'iVBORw==' }, thoughtSignature: 'c2ln' };
    await using server = await startRawServer((response) => {
      response.end(event({ candidates: [{ content: { parts: [signed] }, finishReason: 'STOP' }] }));
    });
    const model = new GeminiModel({ baseUrl: server.url });
    const name = 'gemini-3-pro-image';
    const first = ask('draw', { model: name, generation: { responseModalities: ['text', 'image'] } });
    const { events, finish } = await run(model, first);
    expect(server.requests[0]?.body).toMatchObject({
      generationConfig: { responseModalities: ['TEXT', 'IMAGE'] },
    });
    const [part] = finish?.parts ?? [];
    expect(JSON.stringify(part)).not.toContain('iVBORw');
    const drawn = events.find(({ type }) => type === 'file');
    if (drawn?.type !== 'file' || part?.type !== 'file') throw new Error('No picture.');
    const { data, mimeType } = drawn.file;
    const back = { type: 'data', mimeType, data, providerMetadata: part.providerMetadata } as const;
    await run(model, {
      ...first,
      messages: [
        ...first.messages,
        { role: 'assistant', parts: [back], origin: { provider: 'google', model: name } },
        { role: 'user', parts: [{ type: 'text', text: 'make it red' }] },
      ],
    });
    expect(server.requests[1]?.body).toMatchObject({
      contents: [{ role: 'user' }, { role: 'model', parts: [signed] }, { role: 'user' }],
    });
  });

  it('embeds', async () => {
    const emulator = await startGeminiEmulator();
    const embedder = new GeminiEmbedder({ baseUrl: emulator.url, keyPool: new FakeKeyPool() });
    expect(await embedder.embed(['a', 'b'], { purpose: 'document' })).toHaveLength(2);
    expect(emulator.journal.at(-1)?.path).toMatch(/^\/v1beta\//);
    await emulator.close();
  });

  it('uploads', async () => {
    const emulator = await startGeminiEmulator();
    const path = join(await mkdtemp(join(tmpdir(), 'sdk-test-')), 'clip.mp4');
    await writeFile(path, Buffer.alloc(1_000));
    const clip = { type: 'upload', mimeType: 'video/mp4', fingerprint: 'f', name: 'clip.mp4', path } as const;
    const model = new GeminiModel({ baseUrl: emulator.url });
    const { end } = await run(model, ask('', { messages: [{ role: 'user', parts: [clip] }] }));
    expect(end).toBe('stop');
    await model.close();
    await rm(dirname(path), { recursive: true });
    await emulator.close();
  });
});
