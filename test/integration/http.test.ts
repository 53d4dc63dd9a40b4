import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import express from 'express';
import { MultimodalChat } from 'multimodal-chat';
import { chatRouter } from 'multimodal-chat/express';
import type { FaultName, GeminiEmulator } from 'multimodal-chat/testing';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { drawPicture, makeClip, readPattern } from '../support/media-fixtures.js';

/** End to end: real files over a real socket, real preparation and memory, the emulator as the model. */
let emulator: GeminiEmulator;
let directory: string;
let chat: MultimodalChat;
let server: Server;
let url: string;

beforeEach(async () => {
  vi.stubEnv('GEMINI_MODEL', '');
  emulator = await startGeminiEmulator();
  directory = await mkdtemp(join(tmpdir(), 'service-test-'));
  await start();
});

afterEach(async () => {
  await stop();
  await emulator.close();
  await rm(directory, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

const tempDir = () => join(directory, 'tmp');

async function start(): Promise<void> {
  await mkdir(tempDir(), { recursive: true });
  chat = new MultimodalChat({
    keys: ['first-key-0001', 'second-key-0002'],
    baseUrl: emulator.url,
    dataDir: join(directory, 'data'),
    retry: { baseDelayMs: 1, maxDelayMs: 5, maxAttempts: 2 },
    media: { tempDir: tempDir() },
  });
  server = express()
    .use(chatRouter(chat, { tempDir: tempDir() }))
    .listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function stop(): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  await chat.close();
}

function infer(
  fields: { prompt: string; session_id?: string },
  { files = [], accept = 'text/plain' }: { files?: readonly File[]; accept?: string } = {},
): Promise<Response> {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const file of files) form.append('video_file', file);
  return fetch(`${url}/infer`, { method: 'POST', body: form, headers: { accept } });
}

const fileOf = (data: Uint8Array | string, name: string) =>
  new File([typeof data === 'string' ? data : new Uint8Array(data)], name);
const picture = async (name = 'image.jpg') => fileOf(await drawPicture(7).jpeg().toBuffer(), name);
const nothingIsLeft = async () => expect(await readdir(tempDir())).toEqual([]);

describe('the HTTP API, end to end', () => {
  it('answers about a text, a picture, a clip and earlier turns, also after a restart', async () => {
    const session_id = 'c1';
    const text = await infer({ prompt: 'What are the benefits of renewable energy?', session_id });
    expect(text.status).toBe(200);
    expect(text.headers.get('x-session-id')).toBe(session_id);
    expect(await text.text()).toContain('What are the benefits of renewable energy?');

    const seen = await infer({ prompt: 'Describe what you see', session_id }, { files: [await picture()] });
    expect(await seen.text()).toContain('Describe what you see');
    expect(emulator.journal[1]?.images).toMatchObject([{ mimeType: 'image/jpeg', width: 640, height: 320 }]);

    const path = await makeClip({ path: join(directory, 'video.mp4'), seconds: 4 });
    const video = fileOf(await readFile(path), 'video.mp4');
    const watched = await infer({ prompt: 'What is the main action?', session_id }, { files: [video] });
    expect(watched.status).toBe(200);
    const frames = emulator.journal[2]?.images ?? [];
    const numbers = await Promise.all(frames.map(({ data }) => readPattern(data)));
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(numbers.length).toBeGreaterThanOrEqual(4);
    expect(numbers.at(-1)).toBeGreaterThan(50);

    await stop();
    await start();
    const last = await infer({ prompt: 'And what came before that?', session_id });
    const answer = await last.text();
    expect(answer).toContain('3 earlier turns');
    expect(answer).toContain('What is the main action?');

    const history = await (await fetch(`${url}/sessions/c1`)).json();
    expect(history.turns.map((turn: { prompt: string }) => turn.prompt)).toEqual([
      'What are the benefits of renewable energy?',
      'Describe what you see',
      'What is the main action?',
      'And what came before that?',
    ]);
    for (const { messages } of history.turns)
      expect(messages.map(({ role }: { role: string }) => role)).toEqual(['user', 'assistant']);
    expect(JSON.stringify(history)).not.toMatch(/signature/i);
    expect(await (await fetch(`${url}/sessions/c1`, { method: 'DELETE' })).json()).toMatchObject({
      deleted: 4,
    });
    await nothingIsLeft();
  });

  it('answers about a picture without a prompt, and goes on from there', async () => {
    const data = (await drawPicture(7).jpeg().toBuffer()).toString('base64');
    const asked = await fetch(`${url}/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ session_id: 'c1', media: [`data:image/jpeg;base64,${data}`] }),
    });
    expect(asked.status).toBe(200);
    expect(emulator.journal[0]?.images).toMatchObject([{ width: 640, height: 320 }]);
    const next = await infer({ prompt: 'And now?', session_id: 'c1' });
    expect(next.status).toBe(200);
    const { turns } = await (await fetch(`${url}/sessions/c1`)).json();
    expect(turns.map(({ prompt }: { prompt: string }) => prompt)).toEqual(['', 'And now?']);
    await nothingIsLeft();
  });

  it('streams progress, frames, text and the whole answer', async () => {
    const options = { files: [await picture()], accept: 'text/event-stream' };
    const response = await infer({ prompt: 'What is it?', session_id: 'c1' }, options);
    const events = (await response.text()).split('\n\n').filter((block) => block.startsWith('event: '));
    const named = events.map((block) => {
      const [, event = '', data = ''] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
      return { event, data: JSON.parse(data) };
    });
    const kinds = named.map(({ event }) => event).filter((event, index, all) => event !== all[index - 1]);
    expect(kinds).toEqual(['media', 'recall', 'attempt', 'text', 'done']);
    const ready = named.find(({ data }) => data.media !== undefined)?.data;
    const shown = await fetch(ready.media.frames[0].data);
    expect(await readPattern(new Uint8Array(await shown.arrayBuffer()))).toBe(7);
    const text = named.flatMap(({ event, data }) => (event === 'text' ? [data.text] : [])).join('');
    expect(named.at(-1)?.data).toMatchObject({ response: text, session_id: 'c1', stored: true });
    await nothingIsLeft();
  });

  it('counts the calls of each key', async () => {
    await infer({ prompt: 'Hi' });
    const stats = await (await fetch(`${url}/stats`)).json();
    const keys: { usage_count: number; is_current: boolean }[] = Object.values(stats.api_key_stats);
    expect(Object.keys(stats.api_key_stats)).toEqual(['key_1_...0001', 'key_2_...0002']);
    expect(keys.filter((key) => key.is_current && key.usage_count === 1)).toHaveLength(1);
    expect(JSON.stringify(stats)).not.toContain('first-key');
  });

  it.each<[FaultName, number, string]>([
    ['safety', 422, 'BLOCKED'],
    ['prompt-blocked', 422, 'BLOCKED'],
    ['bad-key', 503, 'KEY_POOL_EXHAUSTED'],
    ['internal', 502, 'MODEL_INTERNAL'],
    ['empty-body', 502, 'MODEL_INCOMPLETE'],
  ])('turns a lasting %s into a %i', async (fault, status, code) => {
    emulator.inject({ fault, times: Number.POSITIVE_INFINITY });
    const response = await infer({ prompt: 'Hi' });
    const body = await response.json();
    expect({ status: response.status, code: body.error.code }).toEqual({ status, code });
    expect(body.detail).toMatch(/^[A-Z].*\.$/s);
    expect(JSON.stringify(body)).not.toContain('first-key');
  });

  it('refuses bad files, each with its status and a sentence, and goes on', async () => {
    const jpeg = await drawPicture(7).jpeg().toBuffer();
    let fetched = 0;
    const bait = createServer((_request, response) => {
      fetched += 1;
      response.end();
    }).listen(0, '127.0.0.1');
    await once(bait, 'listening');
    const { port } = bait.address() as AddressInfo;
    const playlist = `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:${port}/a.ts\n#EXT-X-ENDLIST\n`;
    const files: [File, number][] = [
      [fileOf('just some words', 'words.mp4'), 415],
      [fileOf(jpeg.subarray(0, jpeg.length / 2), 'half.jpg'), 400],
      [fileOf(blackPng(30_000, 30_000), 'huge.png'), 413],
      [fileOf(playlist, 'playlist.mp4'), 400],
      [fileOf('<svg xmlns="http://www.w3.org/2000/svg"/>', 'a.svg'), 415],
      [fileOf('', 'nothing.png'), 400],
    ];
    const answers = files.map(async ([file, status]) => {
      const response = await infer({ prompt: 'What is it?' }, { files: [file] });
      const { detail } = await response.json();
      expect.soft(detail).toMatch(/^[A-Z"“].*\.$/s);
      expect.soft(detail).not.toContain(tempDir());
      return { name: file.name, right: status, status: response.status };
    });
    for (const { name, right, status } of await Promise.all(answers)) {
      expect.soft(`${name} ${status}`).toBe(`${name} ${right}`);
    }
    bait.close();
    expect(fetched).toBe(0);
    expect((await infer({ prompt: 'Still there?' }, { files: [await picture()] })).status).toBe(200);
    await nothingIsLeft();
  });

  it('stops the call to the model when the client hangs up', async () => {
    emulator.inject({ fault: 'stall', times: 1 });
    const client = new AbortController();
    const form = new FormData();
    form.append('prompt', 'Hi');
    form.append('video_file', await picture());
    const answer = fetch(`${url}/infer`, { method: 'POST', body: form, signal: client.signal });
    await expect.poll(() => emulator.journal).toHaveLength(1);
    client.abort();
    await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
    await vi.waitFor(() => expect(emulator.journal[0]?.aborted).toBe(true));
    await vi.waitFor(nothingIsLeft);
    await vi.waitFor(async () => {
      const { calls } = await (await fetch(`${url}/stats`)).json();
      expect(calls).toMatchObject({ total: 1, in_flight: 0, cancelled: 1, failed: 0 });
    });
  });
});

/** A small file that decodes to a black picture of any size. */
function blackPng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // One bit per pixel, gray.
  header[8] = 1;
  const rows = Buffer.alloc(height * (1 + Math.ceil(width / 8)));
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', deflateSync(rows)),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

function pngChunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
