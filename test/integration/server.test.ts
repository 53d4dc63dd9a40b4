import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GeminiEmulator } from 'multimodal-chat/testing';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { drawPicture, makeClip } from '../support/media-fixtures.js';
import type { Attachment, ServerProcess } from './server-process.js';
import { ask, makeServerDirectory, question, readLog, startServer } from './server-process.js';

// Every server is a process that compiles its TypeScript first.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const emulatorLine = /^This is the Gemini emulator of multimodal-chat, not Gemini/;

async function directory(): Promise<string> {
  const { path, remove } = await makeServerDirectory();
  onTestFinished(remove);
  return path;
}

async function start(path: string, env?: Readonly<Record<string, string>>): Promise<ServerProcess> {
  const server = await startServer(path, env);
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

async function emulate(options?: Parameters<typeof startGeminiEmulator>[0]): Promise<GeminiEmulator> {
  const emulator = await startGeminiEmulator(options);
  onTestFinished(() => emulator.close());
  return emulator;
}

describe('the example server without any key', () => {
  let path: string;
  let temporary: string;
  let remove: () => Promise<void>;
  let server: ServerProcess;
  let picture: Attachment;
  let clip: Attachment;

  beforeAll(async () => {
    ({ path, remove } = await makeServerDirectory());
    temporary = join(path, 'temporary');
    await mkdir(temporary);
    server = await startServer(path, { TMPDIR: temporary });
    picture = { name: 'image.jpg', data: await drawPicture(7).jpeg().toBuffer() };
    const file = await makeClip({ path: join(path, 'made.mp4'), seconds: 4, audio: true });
    clip = { name: 'video.mp4', data: await readFile(file) };
  });
  afterAll(async () => {
    await server?.stop();
    await remove?.();
  });

  it('answers the four calls of the README, the last one with the others as context', async () => {
    const answers = [
      await ask(server, 'What are the benefits of renewable energy?'),
      await ask(server, 'Describe what you see', { attachments: [picture] }),
      await ask(server, 'What is the main action?', { attachments: [clip] }),
      await ask(server, 'And what came before that?'),
    ];
    expect(answers[0]).toContain('You asked: “What are the benefits of renewable energy?”');
    expect(answers[1]).toMatch(/1 picture: \[image\.jpg\] \(640×320 jpeg/);
    expect(answers[2]).toMatch(/8 pictures: \[video\.mp4, frame at 0:00\.[0-9]\]/);
    expect(answers[2]).toMatch(/frame at 0:03\.[5-9]\]/);
    expect(answers[3]).toContain('The request had 3 earlier turns');
  });

  it('says in every answer, header, page and log that an emulator answers', async () => {
    expect(await ask(server, 'Who is there?', { sessionId: 'who' })).toMatch(emulatorLine);
    const home = await fetch(`${server.url}/`);
    expect(home.headers.get('x-notice')).toContain('emulator');
    expect(await home.json()).toMatchObject({ status: 'ok', message: 'Service is running' });
    const page = await fetch(`${server.url}/`, { headers: { accept: 'text/html' } });
    expect(await page.text()).toContain('DEMO: a built-in emulator answers, not Gemini');
    expect(server.output()).toMatch(/WARNING +DEMO: a built-in emulator answers/);
  });

  it('serves a page without external resources', async () => {
    const response = await fetch(`${server.url}/`, { headers: { accept: 'text/html' } });
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    const page = await response.text();
    const loaded = [...page.matchAll(/<(?:script|link|img|source)[^>]*\b(?:src|href)="([^"]+)"/g)];
    expect(loaded.map(([, address]) => address).filter((address) => !address?.startsWith('data:'))).toEqual(
      [],
    );
    expect(page).not.toMatch(/@import|url\(/);
  });

  it('logs each request with its method, path, status and time, but no query', async () => {
    await fetch(`${server.url}/nowhere?token=hidden`);
    const readEntries = async () => {
      const lines = (await readLog(path)).trim().split('\n');
      return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    };
    const request = { method: 'GET', path: '/nowhere', status: 404, level: 'WARNING' };
    // A request is logged once it has been answered, which the client may see first.
    await expect
      .poll(async () => (await readEntries()).at(-1))
      .toMatchObject({ ...request, ms: expect.any(Number) });
    expect(await readLog(path)).not.toContain('hidden');
  });

  it('listens on IPv4 and IPv6', async () => {
    expect((await fetch(`http://127.0.0.1:${server.port}/health`)).status).toBe(200);
    expect((await fetch(`http://[::1]:${server.port}/health`)).status).toBe(200);
  });

  it('keeps no upload once it has answered', async () => {
    await ask(server, 'Describe what you see', { attachments: [picture, clip], sessionId: 'files' });
    expect((await readdir(temporary)).filter((name) => !name.startsWith('tsx-'))).toEqual([]);
  });
});

describe('the memory of the example server', () => {
  it('survives an orderly restart', async () => {
    const path = await directory();
    const first = await start(path);
    await ask(first, 'My boat is called Albatross.');
    expect((await first.stop()).code).toBe(0);

    const second = await start(path);
    expect(await ask(second, 'What is it called?')).toContain('“My boat is called Albatross.”');
    const history = (await (await fetch(`${second.url}/sessions/c1`)).json()) as {
      turns: { prompt: string }[];
    };
    expect(history.turns.map(({ prompt }) => prompt)).toEqual([
      'My boat is called Albatross.',
      'What is it called?',
    ]);
  });

  it('survives kill -9 right after an answer', async () => {
    const path = await directory();
    const first = await start(path);
    await ask(first, 'My boat is called Albatross.');
    first.signal('SIGKILL');
    await first.exited;

    const second = await start(path);
    expect(await ask(second, 'What is it called?')).toContain('“My boat is called Albatross.”');
  });
});

describe('the example server with keys', () => {
  const keys = [
    'AIzaSecretKeyNumberOne-0001',
    'AIzaSecretKeyNumberTwo-0002',
    'AIzaSecretKeyNumberThree-0003',
  ];
  const keyVariables = {
    GEMINI_API_KEY_1: keys[0] ?? '',
    GEMINI_API_KEY_2: keys[1] ?? '',
    GEMINI_API_KEY_3: keys[2] ?? '',
  };
  const token = 'planted-token-0123456789abcdef';

  it('calls the given server with the given keys and model', async () => {
    const emulator = await emulate({ projects: [{ id: 'alpha', keys }] });
    const server = await start(await directory(), {
      ...keyVariables,
      GEMINI_KEY_PROJECTS: '1:alpha,2:alpha,3:alpha',
      GOOGLE_GEMINI_BASE_URL: emulator.url,
      GEMINI_MODEL: 'gemini-3.5-flash',
    });
    for (const sessionId of ['a', 'b', 'c']) await ask(server, 'Hello', { sessionId });
    expect(emulator.journal.map(({ model }) => model)).toEqual(Array(3).fill('gemini-3.5-flash'));
    expect(emulator.journal.every(({ key }) => keys.includes(key ?? ''))).toBe(true);
    expect((await fetch(`${server.url}/`)).headers.get('x-notice')).toBeNull();
  });

  it('logs no key and no token, whatever fails', async () => {
    const path = await directory();
    const emulator = await emulate({ projects: [{ id: 'alpha', keys }] });
    emulator.inject({ fault: 'bad-key', times: 1 });
    emulator.inject({ fault: 'leaked-key', times: 1 });
    const echo = {
      error: { code: 400, status: 'INVALID_ARGUMENT', message: `Bad request with key ${keys.join(' ')}` },
    };
    emulator.inject({ reply: { status: 400, contentType: 'application/json', body: echo }, times: 1 });
    const server = await start(path, {
      ...keyVariables,
      GOOGLE_GEMINI_BASE_URL: emulator.url,
      API_TOKEN: token,
      LOG_LEVEL: 'DEBUG',
    });
    const headers = { authorization: `Bearer ${token}` };
    const refused = await fetch(`${server.url}/infer`, { method: 'POST', body: question('Hello', 's') });
    expect(refused.status).toBe(401);
    // The results of these three do not matter: they meet the faults above.
    for (const prompt of ['one', 'two', `my token is ${token} and my key ${keys[0]}`]) {
      await fetch(`${server.url}/infer?token=${token}`, {
        method: 'POST',
        body: question(prompt, 's'),
        headers,
      });
    }
    const stats = await (await fetch(`${server.url}/stats`, { headers })).text();
    await server.stop();

    const written = `${server.output()}${await readLog(path)}${stats}`;
    expect(written).toContain('a key is switched off');
    for (const secret of [...keys, token]) expect(written).not.toContain(secret);
  });

  it('warns in one sentence when every key has been rejected', async () => {
    const path = await directory();
    const emulator = await emulate();
    emulator.inject({ fault: 'bad-key', times: Number.POSITIVE_INFINITY });
    const server = await start(path, { ...keyVariables, GOOGLE_GEMINI_BASE_URL: emulator.url });
    const response = await fetch(`${server.url}/infer`, { method: 'POST', body: question('Hello', 's') });
    expect(response.status).toBeGreaterThanOrEqual(500);
    await server.shows('Every Gemini API key has been rejected');
    const health = await fetch(`${server.url}/health`);
    expect(health.status).toBe(503);
    expect(await health.json()).toMatchObject({
      status: 'degraded',
      reasons: [expect.stringContaining('No API key can be used')],
    });
  });

  it('requires the token for everything but the page and GET /health', async () => {
    const emulator = await emulate();
    const server = await start(await directory(), {
      ...keyVariables,
      GOOGLE_GEMINI_BASE_URL: emulator.url,
      API_TOKEN: token,
    });
    const statusOf = async (route: string, headers = {}) =>
      (await fetch(server.url + route, { headers })).status;
    expect(await statusOf('/stats')).toBe(401);
    expect(await statusOf('/sessions/s')).toBe(401);
    expect(await statusOf('/', { accept: 'text/html' })).toBe(200);
    expect(await statusOf('/health')).toBe(200);
    expect(await statusOf('/stats', { authorization: `Bearer ${token}` })).toBe(200);
  });

  it('reads .env from its working directory; the real environment takes precedence', async () => {
    const path = await directory();
    const emulator = await emulate();
    const lines = [
      `GEMINI_API_KEY=${keys[0]}`,
      `GOOGLE_GEMINI_BASE_URL=${emulator.url}`,
      'LOG_FILE=from-dotenv.log',
    ];
    await writeFile(join(path, '.env'), lines.join('\n'));
    const server = await start(path, { LOG_FILE: 'from-environment.log' });
    await ask(server, 'Hello');
    expect(emulator.journal.map(({ key }) => key)).toEqual([keys[0]]);
    expect(await readLog(path, 'from-environment.log')).toContain('listening on');
    await expect(readLog(path, 'from-dotenv.log')).rejects.toThrow('ENOENT');
  });
});
