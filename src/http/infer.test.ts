import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { ask, askJson, url } from '../../test/support/http-samples.js';
import type { NamedMedia } from '../index.js';
import { createHandler } from './handler.js';

let tempDir: string;

beforeEach(async () => {
  tempDir = await mkdtemp(join(tmpdir(), 'http-test-'));
});

afterEach(async () => {
  const left = await readdir(tempDir);
  await rm(tempDir, { recursive: true, force: true });
  expect(left).toEqual([]);
});

describe('POST /infer', () => {
  it('passes prompt, session and files to the chat, files by a private path that is removed afterwards', async () => {
    const seen: { content: string; name: string | undefined; mimeType: string | undefined }[] = [];
    const chat = fakeChat({
      async before({ media = [] }) {
        for (const { data, name, mimeType } of media as NamedMedia[]) {
          seen.push({ content: await readFile(data as string, 'utf8'), name, mimeType });
        }
      },
    });
    const files = [
      new File(['first'], 'größe 1.png', { type: 'image/png' }),
      new File(['second'], '../../etc/passwd', { type: 'video/mp4' }),
    ];
    const response = await createHandler(chat, { tempDir })(
      ask({ prompt: 'What is it?', session_id: 'c1', video_file: files }),
    );
    expect(response.status).toBe(200);
    expect(chat.requests).toMatchObject([{ prompt: 'What is it?', sessionId: 'c1', tenant: 'default' }]);
    expect(seen).toEqual([
      { content: 'first', name: 'größe 1.png', mimeType: 'image/png' },
      { content: 'second', name: 'passwd', mimeType: 'video/mp4' },
    ]);
  });

  it('accepts JSON with attachments in base64', async () => {
    const seen: unknown[] = [];
    const chat = fakeChat({
      async before({ media = [] }) {
        for (const { data, name, mimeType } of media as NamedMedia[])
          seen.push({ content: await readFile(data as string, 'utf8'), name, mimeType });
      },
    });
    const response = await createHandler(chat, { tempDir })(
      askJson({
        session_id: 'c2',
        media: [
          { data: 'SGk=', name: 'a.png', mime_type: 'image/png' },
          'data:image/gif;base64,SGk=',
          { data: 'data:;base64,SGk=' },
        ],
      }),
    );
    expect([response.status, response.headers.get('x-session-id')]).toEqual([200, 'c2']);
    // Media may come without a prompt.
    expect(chat.requests[0]?.prompt).toBe('');
    expect(seen).toEqual([
      { content: 'Hi', name: 'a.png', mimeType: 'image/png' },
      { content: 'Hi', name: 'attachment 2', mimeType: 'image/gif' },
      { content: 'Hi', name: 'attachment 3', mimeType: undefined },
    ]);
  });

  it('accepts a plain HTML form', async () => {
    const chat = fakeChat();
    const body = new URLSearchParams({ prompt: 'a & b', session_id: 'c3' });
    await createHandler(chat, { tempDir })(new Request(url('/infer'), { method: 'POST', body }));
    expect(chat.requests).toMatchObject([{ prompt: 'a & b', sessionId: 'c3' }]);
  });

  it.each([
    ['asks for it in the body', { stream: true }, undefined, 'text/event-stream; charset=utf-8'],
    ['takes only JSON', { stream: true }, 'application/json', 'application/json; charset=utf-8'],
  ])('streams where the client %s', async (_what, fields, accept, type) => {
    const handler = createHandler(fakeChat(), { tempDir });
    const response = await handler(askJson({ prompt: 'Hi', ...fields }, accept ? { accept } : {}));
    expect(response.headers.get('content-type')).toBe(type);
    await response.text();
  });

  it('generates a session name if none is given, and returns it', async () => {
    const chat = fakeChat();
    const response = await createHandler(chat, { tempDir })(ask({ prompt: 'Hi', session_id: ' ' }));
    const sessionId = response.headers.get('x-session-id');
    expect(sessionId).toMatch(/^[0-9a-f-]{36}$/);
    expect(chat.requests[0]?.sessionId).toBe(sessionId);
  });

  it('percent-encodes a session that no header can carry', async () => {
    const response = await createHandler(fakeChat(), { tempDir })(ask({ prompt: 'Hi', session_id: '旅行' }));
    expect(response.headers.get('x-session-id')).toBe(encodeURIComponent('旅行'));
  });

  it('accepts a prompt that curl sends from a file, and an empty file input of a browser', async () => {
    const chat = fakeChat();
    const nothingChosen = new File([], '', { type: 'application/octet-stream' });
    await createHandler(chat, { tempDir })(
      ask({ prompt: new File(['From a file'], 'prompt.txt'), video_file: nothingChosen }),
    );
    expect(chat.requests).toMatchObject([{ prompt: 'From a file', media: [] }]);
  });
});
