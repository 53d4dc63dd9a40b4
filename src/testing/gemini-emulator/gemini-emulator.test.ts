import { connect } from 'node:net';
import sharp from 'sharp';
import { afterEach, describe, expect, it } from 'vitest';
import { createStarter, model, statusOf, twoProjects } from '../../../test/support/emulated-gemini.js';
import { ConfigurationError } from '../../core/errors.js';
import { startGeminiEmulator } from './gemini-emulator.js';
import type { GeminiEmulatorOptions } from './options.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

describe('the emulator answers the real client', () => {
  it('whole and streamed alike, with usage, version and a finish reason on the last chunk', async () => {
    const { emulator, ai } = await start({ chunks: 3 });
    emulator.say('One two three four five six.');
    emulator.say('One two three four five six.');
    const whole = await ai.models.generateContent({ model, contents: 'Count, please' });
    expect(whole.text).toBe('One two three four five six.');
    expect(whole.modelVersion).toBe(model);
    expect(whole.responseId).toBeTruthy();
    expect(whole.usageMetadata).toMatchObject({
      promptTokenCount: 4,
      candidatesTokenCount: 7,
      totalTokenCount: 11,
    });

    const chunks = [];
    for await (const chunk of await ai.models.generateContentStream({ model, contents: 'Count, please' }))
      chunks.push(chunk);
    expect(chunks.map(({ text }) => text).join('')).toBe('One two three four five six.');
    expect(chunks.map(({ candidates }) => candidates?.[0]?.finishReason)).toEqual([
      undefined,
      undefined,
      'STOP',
    ]);
    expect(new Set(chunks.map(({ responseId }) => responseId)).size).toBe(1);
  });

  it('with thoughts apart from the text and a signature on the last text part', async () => {
    const { ai } = await start();
    const { candidates, usageMetadata } = await ai.models.generateContent({
      model,
      contents: 'Think',
      config: { thinkingConfig: { includeThoughts: true } },
    });
    const parts = candidates?.[0]?.content?.parts ?? [];
    expect(parts.map(({ thought }) => thought ?? false)).toEqual([true, false]);
    expect(parts.map(({ thoughtSignature }) => thoughtSignature !== undefined)).toEqual([false, true]);
    expect(usageMetadata?.thoughtsTokenCount).toBeGreaterThan(0);
  });

  it('within maxOutputTokens and up to a stop sequence', async () => {
    const { emulator, ai } = await start();
    emulator.say('abcdefghijklmnop');
    const short = await ai.models.generateContent({ model, contents: 'x', config: { maxOutputTokens: 2 } });
    expect([short.text, short.candidates?.[0]?.finishReason]).toEqual(['abcdefgh', 'MAX_TOKENS']);
    emulator.say('one STOP two');
    const stopped = await ai.models.generateContent({
      model,
      contents: 'x',
      config: { stopSequences: ['STOP'] },
    });
    expect([stopped.text, stopped.candidates?.[0]?.finishReason]).toEqual(['one ', 'STOP']);
  });

  it('with embeddings of the wanted size, one for each content', async () => {
    const { ai } = await start();
    const embed = async (config: { outputDimensionality?: number }) => {
      const contents = ['red boats', 'a red boat'].map((text) => ({ parts: [{ text }] }));
      const { embeddings } = await ai.models.embedContent({ model: 'gemini-embedding-2', contents, config });
      return embeddings?.map(({ values }) => values?.length);
    };
    expect(await embed({})).toEqual([3072, 3072]);
    expect(await embed({ outputDimensionality: 768 })).toEqual([768, 768]);
    expect(await statusOf(embed({ outputDimensionality: 5000 }))).toBe(400);
  });

  it('with token counts by the documented rules', async () => {
    const { ai } = await start();
    const data = (
      await sharp({ create: { width: 9, height: 9, channels: 3, background: 'red' } })
        .png()
        .toBuffer()
    ).toString('base64');
    const inlineData = { mimeType: 'image/png', data };
    const count = async (name: string) =>
      (await ai.models.countTokens({ model: name, contents: [{ text: '12345678' }, { inlineData }] }))
        .totalTokens;
    expect(await count(model)).toBe(2 + 1120);
    expect(await count('gemini-2.5-flash')).toBe(2 + 258);
  });

  it('with its models, and 404 for others', async () => {
    const { ai } = await start({ models: ['one', 'two'] });
    const names = [];
    for await (const { name } of await ai.models.list()) names.push(name);
    expect(names).toEqual(['models/one', 'models/two']);
    expect((await ai.models.get({ model: 'one' })).name).toBe('models/one');
    const { ai: others } = await start();
    expect((await others.models.get({ model: 'gemini-flash-latest' })).name).toBe(
      'models/gemini-flash-latest',
    );
    expect(await statusOf(ai.models.generateContent({ model: 'three', contents: 'x' }))).toBe(404);
    expect(await statusOf(ai.models.get({ model: 'three' }))).toBe(404);
  });

  it('on v1 as on v1beta, and a stream without events as an array', async () => {
    const { emulator } = await start();
    emulator.say('Hello there');
    const response = await fetch(`${emulator.url}/v1/models/${model}:streamGenerateContent`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'k' },
      body: JSON.stringify({ contents: [{ parts: [{ text: 'x' }] }] }),
    });
    const chunks = (await response.json()) as { candidates: { content: { parts: { text: string }[] } }[] }[];
    expect(chunks.map(({ candidates }) => candidates[0]?.content.parts[0]?.text).join('')).toBe(
      'Hello there',
    );
  });
});

describe('keys and quotas', () => {
  it('refuse an unknown key and a missing one', async () => {
    const { emulator, client } = await start(twoProjects);
    const ask = (key: string) => client(key).models.generateContent({ model, contents: 'x' });
    expect(await statusOf(ask('key-b'))).toBe(200);
    const error = (await ask('stranger').catch((reason: unknown) => reason)) as {
      status: number;
      message: string;
    };
    expect([error.status, error.message.includes('API_KEY_INVALID')]).toEqual([400, true]);
    expect((await fetch(`${emulator.url}/v1/models`)).status).toBe(400);
  });

  it('are shared by the keys of one project only, and follow the clock', async () => {
    let now = Date.parse('2026-11-20T12:00:00Z');
    const clock = { now: () => now, setTimeout: () => undefined, clearTimeout: () => undefined };
    const { client } = await start({ ...twoProjects, clock });
    const ask = (key: string) => statusOf(client(key).models.generateContent({ model, contents: 'x' }));
    const statuses = [];
    for (const key of ['key-a1', 'key-a2', 'key-a1', 'key-a2', 'key-b']) statuses.push(await ask(key));
    expect(statuses).toEqual([200, 200, 200, 429, 200]);
    now += 60_000;
    expect(await ask('key-a1')).toBe(200);
  });
});

describe('an invalid request', () => {
  const post = async (body: string, options: GeminiEmulatorOptions = {}) => {
    const { emulator } = await start(options);
    const url = `${emulator.url}/v1beta/models/${model}:generateContent`;
    const response = await fetch(url, { method: 'POST', headers: { 'x-goog-api-key': 'k' }, body });
    const { error } = (await response.json()) as { error: { message: string } };
    return `${response.status} ${error.message}`;
  };

  it.each([
    ['is not JSON', '{"contents": [', /^400 Invalid JSON payload/],
    ['has no contents', '{}', /^400 .*contents is not specified/],
    ['has a content without parts', '{"contents":[{"parts":[]}]}', /^400 .*contents is not specified/],
  ])('is answered 400 when it %s', async (_, body, message) => {
    expect(await post(body)).toMatch(message);
  });

  it('is answered 400 if it is too large, in bytes or in tokens', async () => {
    const body = (characters: number) =>
      JSON.stringify({ contents: [{ parts: [{ text: 'x'.repeat(characters) }] }] });
    expect(await post(body(2000), { maxRequestBytes: 1000 })).toBe(
      '400 Request payload size exceeds the limit: 1000 bytes.',
    );
    expect(await post(body(4_194_308))).toMatch(/input token count \(1048577\) exceeds .* \(1048576\)/);
  });
});

describe('a request that is not HTTP', () => {
  it('does not crash the emulator', async () => {
    const { emulator, ai } = await start();
    const socket = connect(Number(new URL(emulator.url).port), '127.0.0.1');
    socket.end('POST /v1beta/%ZZ HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nshort');
    await new Promise((resolve) => socket.on('close', resolve).resume());
    expect(await statusOf(ai.models.generateContent({ model, contents: 'x' }))).toBe(200);
  });
});

describe('startGeminiEmulator', () => {
  it.each<[string, unknown]>([
    ['port', 70_000],
    ['host', ''],
    ['projects', [{ id: 'alpha' }]],
    ['projects.0.limits', [{ id: 'alpha', keys: ['k'], limits: { rpm: -1 } }]],
    ['window', 'hourly'],
    ['models', 'gemini-3.8-flash'],
    ['clock', Date],
    ['chunkDelayMs', -1],
    ['chunks', 0],
    ['answer', 7],
    ['answer', { text: 'no parts' }],
    ['aliases', ['gemini-flash-latest']],
    ['continueAfterCharacters', 0],
    ['signatures', 'key'],
    ['chaos.rates', { rates: { overloaded: 2 } }],
    ['journal', 'off'],
    ['chunk', 4],
  ])('refuses a wrong or unknown option and names it: %s', async (name, value) => {
    const options = { [name.split('.', 1)[0] as string]: value } as GeminiEmulatorOptions;
    await expect(startGeminiEmulator(options)).rejects.toThrow(ConfigurationError);
    await expect(startGeminiEmulator(options)).rejects.toThrow(name);
  });
});

describe('say', () => {
  it('refuses what is no answer', async () => {
    const { emulator } = await start();
    expect(() => emulator.say({ text: 'Hi' } as never)).toThrow(ConfigurationError);
  });
});

describe('closing', () => {
  it('cuts calls that are being answered, and frees the port', async () => {
    const { emulator, ai } = await start({ firstChunkDelayMs: 60_000 });
    const call = expect(ai.models.generateContent({ model, contents: 'x' })).rejects.toThrow();
    await emulator.whenReceived(1);
    await emulator.close();
    await call;
    const again = await startGeminiEmulator({ port: Number(new URL(emulator.url).port) });
    await again.close();
  });

  it('names a port that is already in use', async () => {
    const { emulator } = await start();
    const port = Number(new URL(emulator.url).port);
    await expect(startGeminiEmulator({ port })).rejects.toThrow(
      `The emulator cannot listen on 127.0.0.1:${port} (EADDRINUSE).`,
    );
  });
});
