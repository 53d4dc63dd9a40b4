import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { type ChatModel, MultimodalChat } from 'multimodal-chat';
import { chatRouter } from 'multimodal-chat/express';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { drawPicture } from '../support/media-fixtures.js';

/** A picture that a model makes, over a real socket, through memory and archive on disk, and after a restart. */
let directory: string;
let data: Buffer;
let chat: MultimodalChat;
let server: Server;
let url: string;

const fingerprintOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Answers every prompt with the same picture and no text. */
const painter = (): ChatModel => ({
  provider: 'painter',
  models: { default: 'painter-1' },
  needsKey: false,
  capabilities: () => ({ media: { inline: ['image/jpeg', 'image/png'] } }),
  async *stream() {
    const file = { mimeType: 'image/png', name: 'painting.png', data, fingerprint: fingerprintOf(data) };
    const { data: _, ...facts } = file;
    yield { type: 'file', file };
    yield {
      type: 'finish',
      finishReason: 'stop',
      parts: [{ type: 'file', ...facts, bytes: data.byteLength }],
    };
  },
});

async function start(): Promise<void> {
  chat = new MultimodalChat({ model: painter(), dataDir: directory });
  const router = chatRouter(chat, {
    tempDir: directory,
    authorize: (request) => ({ tenant: request.headers.get('x-tenant') ?? 'acme' }),
  });
  server = express().use('/api', router).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function stop(): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  await chat.close();
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'generated-files-'));
  data = await drawPicture(9).png().toBuffer();
  await start();
});

afterEach(async () => {
  await stop();
  await rm(directory, { recursive: true, force: true });
});

async function ask(accept: string, attachment?: Uint8Array): Promise<Response> {
  const body = new FormData();
  body.append('prompt', 'Paint');
  body.append('session_id', 'a b');
  if (attachment) body.append('video_file', new Blob([new Uint8Array(attachment)]), 'mine.png');
  return fetch(`${url}/api/infer`, { method: 'POST', body, headers: { accept } });
}

describe('a picture that the model makes', () => {
  it('can be fetched at once and after a restart, by its tenant alone, until it is forgotten', async () => {
    const { files } = await (await ask('application/json')).json();
    const path = `/api/sessions/a%20b/files/${fingerprintOf(data)}`;
    expect(files).toMatchObject([{ name: 'painting.png', mime_type: 'image/png', url: path }]);
    const fetchFile = (headers: Record<string, string> = {}) => fetch(url + path, { headers });
    expect(Buffer.from(await (await fetchFile()).arrayBuffer())).toEqual(data);
    expect((await fetchFile({ 'x-tenant': 'other' })).status).toBe(404);

    await stop();
    await start();
    const response = await fetchFile();
    expect(response.headers.get('content-type')).toBe('image/png');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(data);

    await fetch(`${url}/api/sessions/a%20b`, { method: 'DELETE' });
    expect((await fetchFile()).status).toBe(404);
  });

  it('is named in the place of text', async () => {
    const response = await ask('text/plain');
    expect(response.headers.get('x-files')).toBe('1');
    expect(await response.text()).toContain(`/api/sessions/a%20b/files/${fingerprintOf(data)}`);
  });

  it('is what the route gives, and no attachment of the user', async () => {
    const mine = await drawPicture(3).png().toBuffer();
    await (await ask('text/plain', mine)).text();
    expect((await chat.stats()).mediaArchive?.items).toBe(2);
    const response = await fetch(`${url}/api/sessions/a%20b/files/${fingerprintOf(mine)}`);
    expect(response.status).toBe(404);
  });
});
