import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { ask, askJson, url } from '../../test/support/http-samples.js';
import { KeyPoolExhaustedError, MediaError } from '../index.js';
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

describe('POST /infer refuses', () => {
  it.each<[string, () => Request, number, string, RegExp]>([
    ['no prompt', () => ask({ session_id: 'c1' }), 400, 'INVALID_INPUT', /no prompt/],
    ['a blank prompt', () => ask({ prompt: ' \n' }), 400, 'INVALID_INPUT', /no prompt/],
    [
      'an empty file',
      () => ask({ prompt: 'Hi', video_file: new File([], 'a.mp4') }),
      400,
      'MEDIA_EMPTY',
      /"a.mp4" is empty/,
    ],
    [
      'a file in another field',
      () => ask({ prompt: 'Hi', photo: new File(['x'], 'a') }),
      400,
      'INVALID_INPUT',
      /"photo".*"video_file"/,
    ],
    [
      'too large files',
      () => ask({ prompt: 'Hi', video_file: [new Blob(['x'.repeat(600)]), new Blob(['x'.repeat(600)])] }),
      413,
      'MEDIA_TOO_LARGE',
      /larger than 1000 bytes/,
    ],
    [
      'too many files',
      () => ask({ prompt: 'Hi', video_file: [new Blob(['a']), new Blob(['b']), new Blob(['c'])] }),
      413,
      'TOO_MANY_FILES',
      /More than 2/,
    ],
    ['too long a prompt', () => ask({ prompt: 'x'.repeat(101) }), 413, 'PROMPT_TOO_LONG', /101 characters/],
    ['far too long a prompt', () => ask({ prompt: 'x'.repeat(401) }), 413, 'FIELD_TOO_LONG', /"prompt"/],
    [
      'too long a session',
      () => ask({ prompt: 'Hi', session_id: 'x'.repeat(257) }),
      400,
      'INVALID_INPUT',
      /256/,
    ],
    [
      'a line break in the session',
      () => askJson({ prompt: 'Hi', session_id: 'a\nb' }),
      400,
      'INVALID_INPUT',
      /control characters/,
    ],
    ['JSON that is none', () => askJson('{"prompt":'), 400, 'INVALID_INPUT', /not valid JSON/],
    ['a JSON list', () => askJson([]), 400, 'INVALID_INPUT', /expected object, received array/],
    [
      'a path for an attachment',
      () => askJson({ prompt: 'Hi', media: [{ data: '/etc/passwd.' }] }),
      400,
      'INVALID_INPUT',
      /media\.0\.data.*base64/,
    ],
    [
      'a URL for an attachment',
      () => askJson({ prompt: 'Hi', media: ['http://x/a.png'] }),
      400,
      'INVALID_INPUT',
      /media\.0/,
    ],
    [
      'an empty attachment',
      () => askJson({ prompt: 'Hi', media: [{ data: '' }] }),
      400,
      'MEDIA_EMPTY',
      /attachment 1/,
    ],
    [
      'too many attachments',
      () => askJson({ prompt: 'Hi', media: Array(3).fill({ data: 'SGk=' }) }),
      413,
      'TOO_MANY_FILES',
      /More than 2/,
    ],
    [
      'too large a JSON body',
      () => askJson({ prompt: 'x'.repeat(1000) }),
      413,
      'BODY_TOO_LARGE',
      /multipart/,
    ],
    [
      'a body of another type',
      () =>
        new Request(url('/infer'), { method: 'POST', body: '<a/>', headers: { 'content-type': 'text/xml' } }),
      415,
      'UNSUPPORTED_CONTENT_TYPE',
      /multipart\/form-data/,
    ],
    [
      'a compressed body',
      () => askJson({ prompt: 'Hi' }, { 'content-encoding': 'gzip' }),
      415,
      'UNSUPPORTED_ENCODING',
      /Compressed/,
    ],
    [
      'no body',
      () => new Request(url('/infer'), { method: 'POST' }),
      415,
      'UNSUPPORTED_CONTENT_TYPE',
      /multipart\/form-data/,
    ],
    [
      'an Accept that nothing suits',
      () => ask({ prompt: 'Hi' }, { accept: 'image/png' }),
      406,
      'NOT_ACCEPTABLE',
      /text\/event-stream/,
    ],
  ])('%s', async (_what, request, status, code, sentence) => {
    const chat = fakeChat();
    const limits = { maxUploadBytes: 1000, maxFiles: 2, maxPromptChars: 100, maxBodyBytes: 600 };
    const response = await createHandler(chat, { tempDir, ...limits })(request());
    const body = await response.json();
    expect({ status: response.status, body }).toEqual({
      status,
      body: { detail: expect.stringMatching(sentence), error: { code, message: body.detail } },
    });
    expect(response.headers.get('x-session-id')).not.toBeNull();
    expect(chat.requests).toEqual([]);
  });
});

describe('a question that fails', () => {
  it('says when to try again if no key is free', async () => {
    const chat = fakeChat({
      before: () => {
        throw new KeyPoolExhaustedError('No key is free.', { retryAfterMs: 4200 });
      },
    });
    const response = await createHandler(chat, { tempDir })(ask({ prompt: 'Hi' }));
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('5');
    expect(await response.json()).toEqual({
      detail: 'No key is free.',
      error: { code: 'KEY_POOL_EXHAUSTED', message: 'No key is free.', retry_after_ms: 4200 },
    });
  });

  it('is logged with details that the client does not get', async () => {
    const secret = new Error('password is hunter2');
    const reported: unknown[] = [];
    const chat = fakeChat({
      before: () => {
        throw secret;
      },
    });
    const handler = createHandler(chat, { tempDir, onError: (error) => reported.push(error) });
    const response = await handler(ask({ prompt: 'Hi' }));
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('hunter2');
    expect(reported).toEqual([secret]);
  });

  it('is answered even if the log fails', async () => {
    const warned = once(process, 'warning');
    const chat = fakeChat({
      before: () => {
        throw new Error('no');
      },
    });
    const onError = () => {
      throw new Error('disk full');
    };
    const response = await createHandler(chat, { tempDir, onError })(ask({ prompt: 'Hi' }));
    expect(response.status).toBe(500);
    expect(String(await warned)).toContain('disk full');
  });

  it('removes the files when the chat refuses them', async () => {
    const chat = fakeChat({
      before: () => {
        throw new MediaError('corrupt', 'The picture is damaged.');
      },
    });
    const response = await createHandler(chat, { tempDir })(
      ask({ prompt: 'Hi', video_file: new Blob(['x']) }),
    );
    expect(response.status).toBe(400);
  });
});
