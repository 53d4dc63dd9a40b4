import { GoogleGenAI } from '@google/genai';
import sharp from 'sharp';
import { afterEach, describe, expect, it } from 'vitest';
import { type GeminiEmulator, startGeminiEmulator } from './gemini-emulator.js';
import type { GeminiEmulatorOptions } from './options.js';

const model = 'gemini-3.8-flash';
const opened: GeminiEmulator[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((emulator) => emulator.close()));
});

async function start(options: GeminiEmulatorOptions = {}) {
  const emulator = await startGeminiEmulator(options);
  opened.push(emulator);
  const client = (apiKey: string) =>
    new GoogleGenAI({ apiKey, vertexai: false, httpOptions: { baseUrl: emulator.url } });
  return { emulator, client, ai: client('a-key') };
}

const statusOf = (call: Promise<unknown>): Promise<number> =>
  call.then(
    () => 200,
    (error: { status: number }) => error.status,
  );

const textOf = async (stream: AsyncIterable<{ text: string | undefined }>) => {
  let text = '';
  for await (const chunk of stream) text += chunk.text ?? '';
  return text;
};

const twoProjects: GeminiEmulatorOptions = {
  projects: [
    { id: 'alpha', keys: ['key-a1', 'key-a2'], limits: { rpm: 3 } },
    { id: 'beta', keys: ['key-b'] },
  ],
};

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

  it('with the models that it knows, and 404 for others', async () => {
    const { ai } = await start({ models: ['one', 'two'] });
    const names = [];
    for await (const { name } of await ai.models.list()) names.push(name);
    expect(names).toEqual(['models/one', 'models/two']);
    expect((await ai.models.get({ model: 'one' })).name).toBe('models/one');
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

describe('its description of a call', () => {
  it('says who answers, and shows prompt, turns, system instruction, pictures, sounds and files', async () => {
    const { ai } = await start();
    const picture = async (width: number, height: number) => ({
      inlineData: {
        mimeType: 'image/jpeg',
        data: (
          await sharp({ create: { width, height, channels: 3, background: 'teal' } })
            .jpeg()
            .toBuffer()
        ).toString('base64'),
      },
    });
    const { text } = await ai.models.generateContent({
      model,
      config: { systemInstruction: 'Be brief.' },
      contents: [
        { role: 'user', parts: [{ text: 'Who was Archimedes?' }] },
        { role: 'model', parts: [{ text: 'A tortoise.' }] },
        {
          role: 'user',
          parts: [
            { text: 'clip.mp4, frame at 0:03.5' },
            await picture(320, 180),
            { text: 'clip.mp4, frame at 0:10.5' },
            await picture(64, 48),
            { inlineData: { mimeType: 'audio/mpeg', data: Buffer.alloc(3000).toString('base64') } },
            { text: 'What happens\nhere?' },
          ],
        },
      ],
    });
    const [first, ...rest] = (text ?? '').split('\n');
    expect(first).toMatch(/emulator.*not Gemini/);
    const description = rest.join('\n');
    expect(description).toContain('You asked: “What happens here?”');
    expect(description).toContain('1 earlier turn. Asked before, oldest first: “Who was Archimedes?”');
    expect(description).toContain('2 pictures');
    expect(description).toMatch(/clip\.mp4, frame at 0:03\.5 \(320×180 jpeg/);
    expect(description).toMatch(/clip\.mp4, frame at 0:10\.5 \(64×48 jpeg/);
    expect(description).toContain('audio/mpeg, 3 kB');
    expect(description).toContain('The system instruction reads: “Be brief.”');
  });
});

describe('the journal', () => {
  it('keeps what arrived, down to the size and the label of each picture', async () => {
    const { emulator, ai } = await start();
    const data = await sharp({ create: { width: 30, height: 20, channels: 3, background: 'red' } })
      .webp()
      .toBuffer();
    await textOf(
      await ai.models.generateContentStream({
        model,
        contents: [
          { text: 'a.webp' },
          { inlineData: { mimeType: 'image/webp', data: data.toString('base64') } },
          { text: 'What is it?' },
        ],
      }),
    );
    await emulator.whenIdle();
    const [call] = emulator.journal;
    expect(call).toMatchObject({
      method: 'POST',
      path: `/v1beta/models/${model}:streamGenerateContent`,
      operation: 'generate',
      model,
      key: 'a-key',
      keyInUrl: false,
      stream: true,
      status: 200,
      aborted: false,
      texts: ['a.webp', 'What is it?'],
    });
    expect(call?.images).toEqual([
      { mimeType: 'image/webp', width: 30, height: 20, bytes: data.length, data, label: 'a.webp' },
    ]);
    expect(call?.endedAt).toBeGreaterThanOrEqual(call?.startedAt ?? Number.POSITIVE_INFINITY);
  });

  it('tells a key in the URL', async () => {
    const { emulator } = await start();
    await fetch(`${emulator.url}/v1/models?key=visible`);
    expect(emulator.journal).toMatchObject([{ key: 'visible', keyInUrl: true, status: 200 }]);
  });

  it('tells that the client hung up', async () => {
    const { emulator, ai } = await start({ firstChunkDelayMs: 60_000 });
    const controller = new AbortController();
    const call = ai.models.generateContent({
      model,
      contents: 'x',
      config: { abortSignal: controller.signal },
    });
    call.catch(() => undefined);
    await emulator.whenReceived(1);
    controller.abort();
    await emulator.whenIdle();
    expect(emulator.journal).toMatchObject([{ aborted: true, status: 0 }]);
    await expect(call).rejects.toThrow();
  });

  it('stays empty when it is off, while everything else works', async () => {
    const { emulator, ai } = await start({ journal: false, answer: (call) => `You said ${call.texts[0]}` });
    expect((await ai.models.generateContent({ model, contents: 'hello' })).text).toBe('You said hello');
    expect(emulator.journal).toEqual([]);
  });
});

describe('keys and quotas', () => {
  it('refuse a key that belongs to no project, and none at all', async () => {
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

  it('are shared by the keys of a project and by nothing else, and follow the clock', async () => {
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

describe('files', () => {
  const clip = () => new Blob([Buffer.alloc(300_000, 7)], { type: 'video/mp4' });

  it('can be uploaded, described, listed, used and deleted', async () => {
    const { ai } = await start();
    const file = await ai.files.upload({ file: clip(), config: { displayName: 'clip.mp4' } });
    expect(file).toMatchObject({
      displayName: 'clip.mp4',
      mimeType: 'video/mp4',
      sizeBytes: '300000',
      state: 'ACTIVE',
    });
    const name = file.name ?? '';
    expect(await ai.files.get({ name })).toMatchObject({ name, uri: file.uri });
    const listed = [];
    for await (const one of await ai.files.list()) listed.push(one.name);
    expect(listed).toEqual([name]);
    const fileData = { fileUri: file.uri ?? '', mimeType: 'video/mp4' };
    const { text } = await ai.models.generateContent({ model, contents: [{ fileData }, { text: 'And?' }] });
    expect(text).toContain(file.uri);
    await ai.files.delete({ name });
    expect(await statusOf(ai.files.get({ name }))).toBe(403);
  });

  it('belong to the project of the key, which any of its keys may use', async () => {
    const { client } = await start(twoProjects);
    const file = await client('key-a1').files.upload({ file: clip() });
    const use = (key: string) =>
      client(key).models.generateContent({
        model,
        contents: [{ fileData: { fileUri: file.uri ?? '', mimeType: 'video/mp4' } }],
      });
    expect(await statusOf(use('key-a2'))).toBe(200);
    const error = (await use('key-b').catch((reason: unknown) => reason)) as Error & { status: number };
    expect(error.status).toBe(403);
    expect(error.message).toContain('You do not have permission to access the File');
    expect(await statusOf(client('key-b').files.get({ name: file.name ?? '' }))).toBe(403);
  });

  it('are processed for a while, and expire after 48 hours', async () => {
    let now = 0;
    const clock = { now: () => now, setTimeout: () => undefined, clearTimeout: () => undefined };
    const { ai } = await start({ fileProcessingMs: 5000, clock });
    const file = await ai.files.upload({ file: clip() });
    const name = file.name ?? '';
    const contents = [{ fileData: { fileUri: file.uri ?? '', mimeType: 'video/mp4' } }];
    expect(file.state).toBe('PROCESSING');
    expect(await statusOf(ai.models.generateContent({ model, contents }))).toBe(400);
    now = 5000;
    expect((await ai.files.get({ name })).state).toBe('ACTIVE');
    expect(await statusOf(ai.models.generateContent({ model, contents }))).toBe(200);
    now = 48 * 3_600_000;
    expect(await statusOf(ai.files.get({ name }))).toBe(403);
  });

  it('can be resumed where an upload broke off, and refuse any other offset', async () => {
    const { emulator } = await start();
    const begun = await fetch(`${emulator.url}/upload/v1beta/files`, {
      method: 'POST',
      headers: {
        'x-goog-api-key': 'k',
        'X-Goog-Upload-Command': 'start',
        'X-Goog-Upload-Protocol': 'resumable',
      },
      body: JSON.stringify({ file: { displayName: 'notes.txt', mimeType: 'text/plain' } }),
    });
    const url = begun.headers.get('x-goog-upload-url') ?? '';
    const send = (command: string, offset: number, text?: string) =>
      fetch(url, {
        method: 'POST',
        headers: { 'X-Goog-Upload-Command': command, 'X-Goog-Upload-Offset': String(offset) },
        ...(text !== undefined && { body: text }),
      });
    await send('upload', 0, 'first ');
    expect((await send('upload', 99, 'lost')).status).toBe(400);
    expect((await send('query', 0)).headers.get('x-goog-upload-size-received')).toBe('6');
    const done = await send('upload, finalize', 6, 'second');
    expect(done.headers.get('x-goog-upload-status')).toBe('final');
    expect(await done.json()).toMatchObject({ file: { displayName: 'notes.txt', sizeBytes: '12' } });
  });
});

describe('a request that Gemini would not take', () => {
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

  it('is answered 400 when it is too large, in bytes or in tokens', async () => {
    const body = (characters: number) =>
      JSON.stringify({ contents: [{ parts: [{ text: 'x'.repeat(characters) }] }] });
    expect(await post(body(2000), { maxRequestBytes: 1000 })).toBe(
      '400 Request payload size exceeds the limit: 1000 bytes.',
    );
    expect(await post(body(4_194_308))).toMatch(/input token count \(1048577\) exceeds .* \(1048576\)/);
  });
});

describe('closing', () => {
  it('ends calls that are still being answered, and frees the port', async () => {
    const { emulator, ai } = await start({ firstChunkDelayMs: 60_000 });
    const call = expect(ai.models.generateContent({ model, contents: 'x' })).rejects.toThrow();
    await emulator.whenReceived(1);
    await emulator.close();
    await call;
    const again = await startGeminiEmulator({ port: Number(new URL(emulator.url).port) });
    await again.close();
  });

  it('says which port is taken', async () => {
    const { emulator } = await start();
    const port = Number(new URL(emulator.url).port);
    await expect(startGeminiEmulator({ port })).rejects.toThrow(
      `The emulator cannot listen on 127.0.0.1:${port} (EADDRINUSE).`,
    );
  });
});
