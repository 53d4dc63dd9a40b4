import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { MultimodalChatOptions } from 'multimodal-chat';
import {
  DefaultMediaProcessor,
  GeminiModel,
  MediaError,
  ModelCallError,
  MultimodalChat,
} from 'multimodal-chat';
import type { GeminiEmulator, GeminiEmulatorOptions, RecordedCall } from 'multimodal-chat/testing';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeClip } from '../support/media-fixtures.js';

/** Enough on a machine that does other work. */
const soon = { timeout: 20_000 };

let fixtures: string;
let clip: string;
let tempDir: string;
let emulator: GeminiEmulator;
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  fixtures = await mkdtemp(join(tmpdir(), 'upload-clips-'));
  clip = await makeClip({ path: join(fixtures, 'clip.mp4'), seconds: 2, audio: true });
});

afterAll(() => rm(fixtures, { recursive: true, force: true }));

beforeEach(async () => {
  tempDir = await mkdtemp(join(tmpdir(), 'upload-temp-'));
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((part) => part.close()));
  await rm(tempDir, { recursive: true, force: true });
});

async function openChat(
  options: MultimodalChatOptions = {},
  emulated: GeminiEmulatorOptions = {},
): Promise<MultimodalChat> {
  emulator = await startGeminiEmulator({
    projects: [
      { id: 'alpha', keys: ['alpha-key-0001', 'alpha-key-0002'] },
      { id: 'beta', keys: ['beta-key-0001'] },
    ],
    ...emulated,
  });
  const chat = new MultimodalChat({
    keys: [
      { key: 'alpha-key-0001', project: 'alpha' },
      { key: 'alpha-key-0002', project: 'alpha' },
      { key: 'beta-key-0001', project: 'beta' },
    ],
    baseUrl: emulator.url,
    memory: false,
    media: { video: 'upload', tempDir },
    retry: { baseDelayMs: 1, maxDelayMs: 5 },
    ...options,
  });
  opened.push(chat, emulator);
  return chat;
}

const uploads = () => emulator.journal.filter(({ path }) => path.startsWith('/upload/'));
const generations = () => emulator.journal.filter(({ operation }) => operation === 'generate');
const deletions = () => emulator.journal.filter(({ method }) => method === 'DELETE');
const started = (calls: readonly RecordedCall[]) => calls.filter(({ body }) => body !== undefined);
const fileParts = (call: RecordedCall | undefined) =>
  (call?.contents ?? []).flatMap(({ parts }) => (parts ?? []).filter(({ fileData }) => fileData));

describe("video: 'upload'", () => {
  it('stores the clip with Gemini and refers to it', async () => {
    const chat = await openChat();
    const { media, text } = await chat.send({ prompt: 'What happens?', media: [clip] });
    expect(text).toContain('What happens?');
    const [generation] = generations();
    expect(fileParts(generation)).toEqual([
      { fileData: { mimeType: 'video/mp4', fileUri: expect.stringMatching(/\/files\/[\w-]+$/) } },
    ]);
    expect(generation?.images).toEqual([]);
    expect(generation?.texts).toContain('[clip.mp4]');
    expect(media).toMatchObject([
      { kind: 'video', estimatedTokens: 2 * 70 + 2 * 32, source: { durationMs: 2000, codec: 'h264' } },
    ]);
  });

  it('sends every byte as it was', async () => {
    const chat = await openChat();
    const { media } = await chat.send({ prompt: 'Hi', media: [Readable.from(await readFile(clip))] });
    const key = generations()[0]?.key;
    const response = await fetch(`${emulator.url}/v1beta/files`, {
      headers: { 'x-goog-api-key': key ?? '' },
    });
    const { files } = (await response.json()) as { files: { sha256Hash: string; sizeBytes: string }[] };
    expect(Buffer.from(files[0]?.sha256Hash ?? '', 'base64').toString()).toBe(media[0]?.fingerprint);
    expect(Number(files[0]?.sizeBytes)).toBe((await readFile(clip)).length);
  });

  it('waits until Gemini has processed it', async () => {
    const chat = await openChat({}, { fileProcessingMs: 300 });
    const { text } = await chat.send({ prompt: 'Ready?', media: [clip] });
    expect(text).toContain('Ready?');
    expect(generations()).toHaveLength(1);
  });

  it('asks for a part of it by time', async () => {
    const chat = await openChat();
    await chat.send({ prompt: 'Hi', media: [{ data: clip, startMs: 500, endMs: 1500 }] });
    expect(fileParts(generations()[0])).toMatchObject([
      { videoMetadata: { startOffset: '0.5s', endOffset: '1.5s' } },
    ]);
  });

  it('uploads the same clip once, and keeps to the project that has it', async () => {
    const chat = await openChat();
    for (const prompt of ['One', 'Two', 'Three']) await chat.send({ prompt, media: [clip] });
    expect(started(uploads())).toHaveLength(1);
    expect(new Set(generations().map(({ project }) => project)).size).toBe(1);
  });

  it('shares an upload between calls that come at once', async () => {
    const chat = await openChat({ keys: [{ key: 'beta-key-0001', project: 'beta' }] });
    await Promise.all(['One', 'Two', 'Three'].map((prompt) => chat.send({ prompt, media: [clip] })));
    expect(started(uploads())).toHaveLength(1);
  });

  it('uploads it again when another project must serve', async () => {
    const chat = await openChat();
    await chat.send({ prompt: 'One', media: [clip] });
    const first = generations()[0]?.project;
    emulator.inject({ fault: 'daily-quota', times: 1 });
    const { text } = await chat.send({ prompt: 'Two', media: [clip] });
    expect(text).toContain('Two');
    expect(generations().map(({ project }) => project === first)).toEqual([true, true, false]);
    expect(started(uploads())).toHaveLength(2);
  });

  it('uploads it again when the file is gone, and blames no key', async () => {
    const chat = await openChat();
    await chat.send({ prompt: 'One', media: [clip] });
    const [{ fileData } = {}] = fileParts(generations()[0]);
    const key = generations()[0]?.key ?? '';
    await fetch(`${emulator.url}/v1beta/files/${fileData?.fileUri?.split('/').at(-1)}`, {
      method: 'DELETE',
      headers: { 'x-goog-api-key': key },
    });
    const { text } = await chat.send({ prompt: 'Two', media: [clip] });
    expect(text).toContain('Two');
    expect(started(uploads())).toHaveLength(2);
    const { keys } = await chat.stats();
    expect(keys.keys.map(({ state }) => state)).toEqual(['ready', 'ready', 'ready']);
  });

  it('retries in the same project without a second upload', async () => {
    const chat = await openChat();
    emulator.inject({ fault: 'overloaded', times: 1 });
    await chat.send({ prompt: 'Hi', media: [clip] });
    expect(generations()).toHaveLength(2);
    expect(started(uploads())).toHaveLength(1);
  });

  it('retries after a fault of the upload', async () => {
    const chat = await openChat();
    emulator.inject({ fault: 'internal', operation: 'any', times: 1 });
    const { text } = await chat.send({ prompt: 'Still there?', media: [clip] });
    expect(text).toContain('Still there?');
  });

  it('resumes where the connection broke, without a second upload', async () => {
    const chat = await openChat();
    emulator.inject({ fault: 'upload-cut' });
    const { attempts, media, text } = await chat.send({ prompt: 'All there?', media: [clip] });
    expect(text).toContain('All there?');
    expect(attempts).toHaveLength(1);
    expect(started(uploads())).toHaveLength(1);
    // The beginning, the half that arrived, the question how much that was, the rest.
    expect(uploads().map(({ status }) => status)).toEqual([200, 0, 200, 200]);
    const response = await fetch(`${emulator.url}/v1beta/files`, {
      headers: { 'x-goog-api-key': generations()[0]?.key ?? '' },
    });
    const { files } = (await response.json()) as { files: { sha256Hash: string }[] };
    expect(Buffer.from(files[0]?.sha256Hash ?? '', 'base64').toString()).toBe(media[0]?.fingerprint);
  });

  it('names the clip that Gemini could not process and what to do, blames no key and leaves no file', async () => {
    const chat = await openChat({}, { fileProcessingMs: 50 });
    emulator.inject({ fault: 'file-failed' });
    const failing = chat.send({ prompt: 'Hi', media: [Readable.from(await readFile(clip)), clip] });
    await expect(failing).rejects.toSatisfy(MediaError.isInstance);
    await expect(failing).rejects.toMatchObject({
      code: 'MEDIA_UNSUPPORTED',
      message: expect.stringMatching(/could not process "attachment".*frames.*H\.264/),
    });
    expect(generations()).toEqual([]);
    expect(started(uploads())).toHaveLength(1);
    await expect.poll(() => deletions().length, soon).toBe(1);
    await expect.poll(() => readdir(tempDir), soon).toEqual([]);
    const { keys } = await chat.stats();
    expect(keys.keys.map(({ state }) => state)).toEqual(['ready', 'ready', 'ready']);
    // The next time may be a better one.
    const { text } = await chat.send({ prompt: 'And now?', media: [clip] });
    expect(text).toContain('And now?');
  });

  it('deletes the files when it is closed', async () => {
    const chat = await openChat();
    await chat.send({ prompt: 'Hi', media: [clip] });
    await chat.close();
    expect(deletions()).toHaveLength(1);
  });

  it('deletes files that were not used for a while', async () => {
    const chat = await openChat();
    const model = new GeminiModel({ baseUrl: emulator.url, keepUploadsMs: 20 });
    opened.push(model);
    await chat.close();
    const processor = new DefaultMediaProcessor({ video: 'upload', tempDir });
    opened.push(processor);
    const [part] = (await processor.prepare(clip)).parts;
    const upload = { type: 'upload', mimeType: 'video/mp4', fingerprint: 'f', name: 'clip.mp4' } as const;
    const parts = [{ ...upload, path: part?.path ?? '' }];
    const request = {
      model: 'gemini-3.8-flash',
      messages: [{ role: 'user', parts }],
      generation: {},
    } as const;
    for await (const event of model.stream(request, { apiKey: 'beta-key-0001', project: 'beta' })) {
      if (event.type === 'finish') break;
    }
    await expect.poll(() => deletions().length, soon).toBe(1);
    expect(model.projectsWith(request)).toEqual([]);
  });

  it('stops uploading when the caller aborts, and leaves no temporary file', async () => {
    const chat = await openChat({}, { fileProcessingMs: 60_000 });
    const leaving = new AbortController();
    const media = [Readable.from(await readFile(clip))];
    const answer = chat.send({ prompt: 'Hi', media, signal: leaving.signal });
    await expect.poll(() => uploads().length, soon).toBeGreaterThan(0);
    leaving.abort('enough');
    await expect(answer).rejects.toBe('enough');
    await expect.poll(() => readdir(tempDir), soon).toEqual([]);
    expect((await chat.stats()).keys.inFlight).toBe(0);
  });

  it('leaves no temporary file after an answer or a fault', async () => {
    const chat = await openChat({ retry: { maxAttempts: 1 }, fallbackModels: [] });
    await chat.send({ prompt: 'Hi', media: [Readable.from(await readFile(clip))] });
    await expect.poll(() => readdir(tempDir), soon).toEqual([]);
    emulator.inject({ fault: 'internal', times: 1 });
    const failing = chat.send({ prompt: 'Hi', media: [Readable.from(await readFile(clip))] });
    await expect(failing).rejects.toBeInstanceOf(ModelCallError);
    await expect.poll(() => readdir(tempDir), soon).toEqual([]);
  });

  it('shows a container that Gemini does not take as frames', async () => {
    const chat = await openChat();
    const mkv = await makeClip({ path: join(fixtures, 'clip.mkv'), seconds: 1 });
    await chat.send({ prompt: 'Hi', media: [mkv] });
    expect(uploads()).toEqual([]);
    expect(generations()[0]?.images).toHaveLength(8);
  });
});
