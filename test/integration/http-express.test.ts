import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Express } from 'express';
import express from 'express';
import type { NamedMedia } from 'multimodal-chat';
import { chatRouter } from 'multimodal-chat/express';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fakeChat } from '../support/fake-chat.js';

let tempDir: string;
let server: Server;

beforeEach(async () => {
  tempDir = await mkdtemp(join(tmpdir(), 'express-test-'));
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  await rm(tempDir, { recursive: true, force: true });
});

async function listen(app: Express): Promise<{ url: string; port: number }> {
  server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port };
}

function formOf(prompt: string, ...files: readonly File[]): FormData {
  const form = new FormData();
  form.append('prompt', prompt);
  for (const file of files) form.append('video_file', file);
  return form;
}

const temporaryFiles = () => readdir(tempDir, { recursive: true });
/** Resolves once the directory is empty; a client that hung up gets no reply to wait for. */
const untilNothingIsLeft = () => vi.waitFor(async () => expect(await temporaryFiles()).toEqual([]));

describe('chatRouter', () => {
  it('works below any prefix', async () => {
    const { url } = await listen(express().use('/my/api', chatRouter(fakeChat(), { tempDir })));
    const health = await fetch(`${url}/my/api/health`);
    const answer = await fetch(`${url}/my/api/infer`, { method: 'POST', body: formOf('Hi') });
    expect([health.status, await answer.text()]).toEqual([200, 'Hello']);
    expect((await fetch(`${url}/health`)).status).toBe(404);
  });

  it("passes other paths on to the app's routes", async () => {
    const app = express().use(chatRouter(fakeChat()));
    app.get('/mine', (_request, response) => void response.send('mine'));
    const { url } = await listen(app);
    expect(await (await fetch(`${url}/mine`)).text()).toBe('mine');
    expect((await fetch(`${url}/infer`)).status).toBe(405);
  });

  it('answers other paths itself with `fallthrough: false`', async () => {
    const { url } = await listen(express().use(chatRouter(fakeChat(), { fallthrough: false })));
    const response = await fetch(`${url}/mine`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'NOT_FOUND' } });
  });

  it.each([
    ['JSON', express.json(), JSON.stringify({ prompt: 'Hi', session_id: 'c1' }), 'application/json'],
    [
      'a form',
      express.urlencoded(),
      'prompt=Hi&session_id=c1&stream=false',
      'application/x-www-form-urlencoded',
    ],
    [
      'text',
      express.text({ type: '*/*' }),
      JSON.stringify({ prompt: 'Hi', session_id: 'c1' }),
      'application/json',
    ],
    [
      'bytes',
      express.raw({ type: '*/*' }),
      JSON.stringify({ prompt: 'Hi', session_id: 'c1' }),
      'application/json',
    ],
  ])('understands a body that a parser has read as %s', async (_what, parser, body, type) => {
    const chat = fakeChat();
    const { url } = await listen(express().use(parser, chatRouter(chat, { tempDir })));
    const response = await fetch(`${url}/infer`, { method: 'POST', body, headers: { 'content-type': type } });
    expect(response.status).toBe(200);
    expect(chat.requests).toMatchObject([{ prompt: 'Hi', sessionId: 'c1' }]);
  });

  it('streams uploads past the parsers of other types', async () => {
    const { url } = await listen(express().use(express.json(), chatRouter(fakeChat(), { tempDir })));
    const body = formOf('Hi', new File(['x'], 'a.png'));
    expect((await fetch(`${url}/infer`, { method: 'POST', body })).status).toBe(200);
  });

  it('counts clients by the address that Express trusts', async () => {
    const app = express().set('trust proxy', 'loopback');
    const { url } = await listen(app.use(chatRouter(fakeChat(), { clientRpm: 1, tempDir })));
    const askFrom = async (address: string) =>
      (
        await fetch(`${url}/infer`, {
          method: 'POST',
          body: formOf('Hi'),
          headers: { 'x-forwarded-for': address },
        })
      ).status;
    expect([await askFrom('1.1.1.1'), await askFrom('2.2.2.2'), await askFrom('1.1.1.1')]).toEqual([
      200, 200, 429,
    ]);
  });

  it('serves 50 uploads at once, each with its own file, and removes them', async () => {
    const chat = fakeChat();
    const contents = new Map<string, string>();
    const answering = {
      ...chat,
      async send(request: Parameters<typeof chat.send>[0]) {
        const [file] = request.media as NamedMedia[];
        contents.set(request.prompt, await readFile(file?.data as string, 'utf8'));
        return chat.send(request);
      },
    };
    const { url } = await listen(express().use(chatRouter(answering, { tempDir })));
    const prompts = Array.from({ length: 50 }, (_, index) => `question ${index}`);
    const content = (prompt: string) => prompt.repeat(10_000);
    const statuses = prompts.map(async (prompt) => {
      const body = formOf(prompt, new File([content(prompt)], 'a.mp4'));
      const response = await fetch(`${url}/infer`, { method: 'POST', body });
      return response.status;
    });
    expect(new Set(await Promise.all(statuses))).toEqual(new Set([200]));
    expect(prompts.filter((prompt) => contents.get(prompt) !== content(prompt))).toEqual([]);
    expect(await temporaryFiles()).toEqual([]);
  });

  it('refuses an upload over the limit and goes on', async () => {
    const { url } = await listen(express().use(chatRouter(fakeChat(), { tempDir, maxUploadBytes: 100_000 })));
    const body = formOf('Hi', new File(['x'.repeat(900_000)], 'a.mp4'));
    const response = await fetch(`${url}/infer`, { method: 'POST', body });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: 'MEDIA_TOO_LARGE' } });
    expect(await temporaryFiles()).toEqual([]);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it('removes the files of a client that hangs up half-way through the upload', async () => {
    const chat = fakeChat();
    const { url, port } = await listen(express().use(chatRouter(chat, { tempDir })));
    const socket = connect(port, '127.0.0.1');
    socket.write(
      [
        'POST /infer HTTP/1.1',
        'Host: a',
        'Content-Type: multipart/form-data; boundary=x',
        'Content-Length: 100000',
        '',
        '--x',
        'Content-Disposition: form-data; name="video_file"; filename="a.mp4"',
        '',
        'half of it',
      ].join('\r\n'),
    );
    await vi.waitFor(async () => expect(await temporaryFiles()).toHaveLength(2));
    socket.destroy();
    await untilNothingIsLeft();
    expect(chat.requests).toEqual([]);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it.each(['text/plain', 'text/event-stream'])(
    'cancels the answer of a client that hangs up while it waits for %s',
    async (accept) => {
      const asked = withResolvers<AbortSignal>();
      const chat = fakeChat({
        before: ({ signal }) =>
          new Promise((_resolve, reject) => {
            signal?.addEventListener('abort', () => reject(signal.reason));
            if (signal) asked.resolve(signal);
          }),
      });
      const { url } = await listen(express().use(chatRouter(chat, { tempDir })));
      const client = new AbortController();
      const answer = fetch(`${url}/infer`, {
        method: 'POST',
        body: formOf('Hi', new File(['x'], 'a.mp4')),
        headers: { accept },
        signal: client.signal,
      }).then((response) => response.text());
      const signal = await asked.promise;
      const aborted = once(signal, 'abort');
      expect(await temporaryFiles()).toHaveLength(2);
      client.abort();
      await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
      if (!signal.aborted) await aborted;
      await untilNothingIsLeft();
    },
  );
});

function withResolvers<T>() {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
