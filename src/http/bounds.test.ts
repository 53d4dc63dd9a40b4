import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { ask, askJson, url } from '../../test/support/http-samples.js';
import { InvalidInputError } from '../index.js';
import { createHandler } from './handler.js';
import type { HandlerOptions } from './handler-options.js';

let tempDir: string;

beforeEach(async () => {
  tempDir = await mkdtemp(join(tmpdir(), 'bounds-test-'));
});

afterEach(() => rm(tempDir, { recursive: true, force: true }));

const post = (body: BodyInit, type: string) =>
  new Request(url('/infer'), {
    method: 'POST',
    body,
    headers: { 'content-type': type },
    duplex: 'half',
  } as RequestInit);

const form = 'application/x-www-form-urlencoded';
const json = 'application/json';
const multipart = 'multipart/form-data; boundary=x';
const part = (name: string, text: string) =>
  `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;

describe('what is refused before it costs anything', () => {
  it.each<[string, string, string, number, string]>([
    ['a list of numbers', json, `{"media":[${'0,'.repeat(1e6)}0]}`, 413, 'TOO_MANY_VALUES'],
    ['a few wrong files', json, `{"media":[${'0,'.repeat(15)}0]}`, 400, 'INVALID_INPUT'],
    ['too many files', json, `{"media":[${'0,'.repeat(99)}0]}`, 413, 'TOO_MANY_FILES'],
    ['deep JSON', json, '['.repeat(2e6), 413, 'TOO_MANY_VALUES'],
    [
      'many unknown fields',
      json,
      JSON.stringify(Object.fromEntries([...Array(3000).keys()].entries())),
      400,
      'INVALID_INPUT',
    ],
    ['a large body without media', json, `{"prompt":"${'x'.repeat(3e6)}"}`, 413, 'BODY_TOO_LARGE'],
    ['blanks', json, `${' '.repeat(3e6)}{}`, 413, 'BODY_TOO_LARGE'],
    ['many separators', form, 'a&'.repeat(5e5), 400, 'INVALID_INPUT'],
    ['a large form', form, `prompt=${'x'.repeat(3e6)}`, 413, 'BODY_TOO_LARGE'],
    ['many parts', multipart, part('prompt', 'Hi').repeat(1e5), 400, 'INVALID_INPUT'],
    ['many unknown parts', multipart, part('a', 'Hi').repeat(1e5), 400, 'INVALID_INPUT'],
    ['a path', json, '{"media":["/etc/passwd"]}', 400, 'INVALID_INPUT'],
    ['an address', json, '{"media":["http://127.0.0.1/"]}', 400, 'INVALID_INPUT'],
    ['a key of the prototype', json, '{"prompt":"Hi","__proto__":1}', 400, 'INVALID_INPUT'],
    ['a field sent twice', form, 'prompt=a&prompt=b', 400, 'INVALID_INPUT'],
  ])('%s', async (_what, type, body, status, code) => {
    const chat = fakeChat();
    const response = await createHandler(chat, { tempDir })(post(body, type));
    const text = await response.text();
    expect([response.status, JSON.parse(text).error.code, chat.requests]).toEqual([status, code, []]);
    expect(text.length).toBeLessThan(10_000);
    expect(await readdir(tempDir)).toEqual([]);
  });

  /** A body that sends something and then nothing. */
  const stalled = (text: string) => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(text)),
      cancel: () => {
        cancelled = true;
      },
    });
    return { body, isCancelled: () => cancelled };
  };

  it.each([
    [json, '{"prompt":'],
    [form, 'prompt='],
    [multipart, '--x\r\nContent-Disposition: form-data; name="video_file"; filename="a"\r\n\r\nDATA'],
  ])('%s that does not go on', async (type, text) => {
    const { body, isCancelled } = stalled(text);
    const response = await createHandler(fakeChat(), { tempDir, bodyTimeoutMs: 50 })(post(body, type));
    expect([response.status, isCancelled()]).toEqual([408, true]);
    expect(await readdir(tempDir)).toEqual([]);
  });

  it.each<[string, string, HandlerOptions]>([
    [json, `{"prompt":"${'x'.repeat(60_000)}`, { maxBodyBytesInFlight: 80_000 }],
    [multipart, part('prompt', 'x'.repeat(60_000)), { maxBodyBytesInFlight: 80_000 }],
  ])('bodies of %s that take too much together, but no short question', async (type, text, options) => {
    const handler = createHandler(fakeChat(), { ...options, tempDir, bodyTimeoutMs: 2_000 });
    const held = [stalled(text), stalled(text)].map(({ body }) => handler(post(body, type)));
    const busy = await Promise.race(held);
    expect([busy.status, busy.headers.get('retry-after')]).toEqual([503, '5']);
    expect((await handler(askJson({ prompt: 'Hi' }))).status).toBe(200);
    await Promise.all(held);
    expect((await handler(askJson({ prompt: 'x'.repeat(60_000) }))).status).toBe(200);
  });

  it('uploads that take too much disk together, until one is answered', async () => {
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const chat = fakeChat({ before: () => gate });
    const handler = createHandler(chat, { tempDir, maxUploadBytesInFlight: 100_000 });
    const file = () => ask({ prompt: 'Hi', video_file: new File(['x'.repeat(90_000)], 'a.txt') });
    const first = handler(file());
    await expect.poll(() => chat.requests.length).toBe(1);
    expect((await handler(file())).status).toBe(503);
    goOn();
    expect((await first).status).toBe(200);
    expect((await handler(file())).status).toBe(200);
  });
});

describe('fields of the app', () => {
  it.each([
    ['JSON', () => askJson({ prompt: 'Hi', model: 'm' })],
    ['a form', () => ask({ prompt: 'Hi', model: 'm' })],
    ['an urlencoded form', () => post('prompt=Hi&model=m', form)],
  ])('are refused in %s by name, unless the app allows them', async (_type, request) => {
    const chat = fakeChat();
    const refused = await createHandler(chat, { tempDir })(request());
    expect([refused.status, (await refused.json()).detail]).toEqual([
      400,
      expect.stringContaining('"model"'),
    ]);
    const handler = createHandler(chat, {
      tempDir,
      fields: ['model'],
      authorize: () => ({ tenant: 'alice' }),
      prepare: (http, { fields, tenant }) => {
        if (fields.model !== 'm') throw new InvalidInputError('Not this model.');
        return { model: `${fields.model}-${tenant}`, systemInstruction: http.url, tenant: 'bob' } as never;
      },
    });
    expect((await handler(request())).status).toBe(200);
    expect(chat.requests).toMatchObject([
      { prompt: 'Hi', model: 'm-alice', systemInstruction: url('/infer'), tenant: 'alice' },
    ]);
    expect((await handler(askJson({ prompt: 'Hi', model: 'x' }))).status).toBe(400);
  });
});

describe('GET /health', () => {
  const key = { state: 'disabled' } as const;
  it.each([
    ['all is well', { keys: [{ state: 'ready' }, key] }, {}, 200],
    ['no model needs a key', { keys: [] }, {}, 200],
    ['every key is rejected', { keys: [key, key] }, {}, 503],
    ['memory fails', { keys: [] }, { lastError: 'SQLITE_FULL /srv/data' }, 503],
    ['memory failed once', { keys: [] }, { lastError: null }, 200],
  ])('tells the truth if %s', async (_what, keys, memory, status) => {
    const stats = { keys, memory } as never;
    const response = await createHandler(fakeChat({ stats }))(new Request(url('/health')));
    const body = await response.json();
    expect([response.status, body.status]).toEqual([status, status === 200 ? 'ok' : 'degraded']);
    expect(JSON.stringify(body)).not.toContain('/srv');
  });

  it('is degraded if nothing can be read', async () => {
    const reported: unknown[] = [];
    const chat = { ...fakeChat(), stats: () => Promise.reject(new Error('broken')) };
    const handler = createHandler(chat, { onError: (error) => reported.push(error) });
    const answers = await Promise.all([1, 2, 3].map(() => handler(new Request(url('/health')))));
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
    expect(reported).toHaveLength(1);
  });
});
