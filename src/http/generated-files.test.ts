import { describe, expect, it } from 'vitest';
import { type FakeAnswers, fakeChat } from '../../test/support/fake-chat.js';
import { ask, generated, readEvents, url } from '../../test/support/http-samples.js';
import { MemoryError } from '../index.js';
import { createHandler } from './handler.js';

const picture = generated('chart.png', 'image/png', 'pixels');
const large = generated('large.png', 'image/png', Buffer.alloc(4 * 1024 * 1024 + 1));
const pictureData = `data:image/png;base64,${Buffer.from('pixels').toString('base64')}`;

/** A chat that finds the files again in the conversation `a/b` of the tenant `acme` alone. */
const keeps = (...files: readonly (typeof picture)[]) =>
  ({
    file: async ({ fingerprint, sessionId, tenant }) =>
      sessionId === 'a/b' && tenant === 'acme'
        ? files.find((file) => file.fingerprint === fingerprint)
        : undefined,
  }) satisfies FakeAnswers;

const acme = { authorize: () => ({ tenant: 'acme' }) };
const path = (fingerprint: string, sessionId = 'a/b') =>
  `/sessions/${encodeURIComponent(sessionId)}/files/${fingerprint}`;

describe('GET /sessions/{id}/files/{fingerprint}', () => {
  it('gives the bytes under the type that the model named', async () => {
    const handler = createHandler(fakeChat(keeps(picture)), acme);
    const response = await handler(new Request(url(path(picture.fingerprint))));
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toEqual({
      'cache-control': 'no-store',
      'content-disposition': "inline; filename*=UTF-8''chart.png",
      'content-length': '6',
      'content-security-policy': 'sandbox',
      'content-type': 'image/png',
      'x-content-type-options': 'nosniff',
    });
    expect(await response.text()).toBe('pixels');
  });

  it.each([
    ['image/svg+xml', 'image/svg+xml', 'attachment'],
    ['text/html', 'text/html', 'attachment'],
    ['application/pdf', 'application/pdf', 'attachment'],
    ['video/mp4', 'video/mp4', 'attachment'],
    ['image/png', 'image/png', 'inline'],
    ['IMAGE/WEBP', 'IMAGE/WEBP', 'inline'],
    ['image/pngx', 'image/pngx', 'attachment'],
    ['audio/L16;codec=pcm;rate=24000', 'audio/L16;codec=pcm;rate=24000', 'inline'],
    ['image/png\r\nset-cookie: a=b', 'application/octet-stream', 'attachment'],
    ['image/png, text/html', 'application/octet-stream', 'attachment'],
    ['', 'application/octet-stream', 'attachment'],
  ])('sends the type %j as %j, %s', async (mimeType, type, disposition) => {
    const file = generated('a', mimeType, 'x');
    const handler = createHandler(fakeChat(keeps(file)), acme);
    const { headers } = await handler(new Request(url(path(file.fingerprint))));
    expect(headers.get('content-type')).toBe(type);
    expect(headers.get('content-disposition')).toMatch(new RegExp(`^${disposition};`));
    expect(headers.get('set-cookie')).toBeNull();
  });

  it.each([
    ['Grüße (1)\'*".png', 'Gr%C3%BC%C3%9Fe%20%281%29%27%2A%22.png'],
    ['a\r\nb', 'a%0D%0Ab'],
    ['half \ud83d', 'half%20%EF%BF%BD'],
  ])('names the file %j', async (name, encoded) => {
    const file = generated(name, 'image/png', 'x');
    const handler = createHandler(fakeChat(keeps(file)), acme);
    const { headers } = await handler(new Request(url(path(file.fingerprint))));
    expect(headers.get('content-disposition')).toBe(`inline; filename*=UTF-8''${encoded}`);
  });

  it.each([
    ['another fingerprint', path('0'.repeat(64))],
    ['another conversation', path(picture.fingerprint, 'other')],
    ['no fingerprint at all', path('..%2f..%2fetc')],
  ])('answers 404 with a sentence for %s', async (_what, elsewhere) => {
    const handler = createHandler(fakeChat(keeps(picture)), acme);
    const response = await handler(new Request(url(elsewhere)));
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'FILE_NOT_FOUND' } });
  });

  it('answers 404 to another tenant, 401 to a stranger, 404 without files', async () => {
    const request = () => new Request(url(path(picture.fingerprint)));
    const chat = fakeChat(keeps(picture));
    const { file: _, ...without } = chat;
    const statuses = await Promise.all([
      createHandler(chat, { authorize: () => ({ tenant: 'other' }) })(request()),
      createHandler(chat, { apiToken: 'secret' })(request()),
      createHandler(without, acme)(request()),
    ]);
    expect(statuses.map(({ status }) => status)).toEqual([404, 401, 404]);
  });

  it('can only be read', async () => {
    const handler = createHandler(fakeChat(keeps(picture)), acme);
    const head = await handler(new Request(url(path(picture.fingerprint)), { method: 'HEAD' }));
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '6', '']);
    const deleted = await handler(new Request(url(path(picture.fingerprint)), { method: 'DELETE' }));
    expect([deleted.status, deleted.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS']);
  });
});

describe('generated files in a reply', () => {
  const json = { accept: 'application/json' };
  const question = { prompt: 'Draw', session_id: 'a/b' };

  it('come as data in JSON, large ones as a link', async () => {
    const reply = { text: '', files: [picture, large] };
    const handler = createHandler(fakeChat({ reply, ...keeps(picture, large) }), {
      ...acme,
      basePath: '/api',
    });
    const response = await handler(ask(question, json, '/api/infer'));
    expect(response.headers.get('x-files')).toBe('2');
    const { files } = await response.json();
    expect(files).toEqual([
      {
        name: 'chart.png',
        mime_type: 'image/png',
        bytes: 6,
        fingerprint: picture.fingerprint,
        url: `/api${path(picture.fingerprint)}`,
        data: pictureData,
      },
      {
        name: 'large.png',
        mime_type: 'image/png',
        bytes: large.data.byteLength,
        fingerprint: large.fingerprint,
        url: `/api${path(large.fingerprint)}`,
      },
    ]);
    const fetched = await handler(new Request(url(files[1].url)));
    expect((await fetched.arrayBuffer()).byteLength).toBe(large.data.byteLength);
  });

  it.each<[string, FakeAnswers['file'], number]>([
    ['are not kept', async () => undefined, 0],
    ['cannot be read', () => Promise.reject(new MemoryError('The disk is gone.')), 1],
  ])('come as data whatever their size if they %s', async (_what, file, reported) => {
    const errors: unknown[] = [];
    const chat = fakeChat({ reply: { files: [large] }, file });
    const handler = createHandler(chat, { onError: (error) => errors.push(error) });
    const { files } = await (await handler(ask(question, json))).json();
    expect(files[0].url).toBeUndefined();
    expect(files[0].data).toHaveLength(Buffer.from(large.data).toString('base64').length + 22);
    expect(errors).toHaveLength(reported);
  });

  it('come as data in an event, and without it in the last one', async () => {
    const chat = fakeChat({
      events: [{ type: 'file', file: picture }],
      reply: { files: [picture] },
      ...keeps(picture),
    });
    const response = await createHandler(chat, acme)(ask(question, { accept: 'text/event-stream' }));
    const [file, done] = readEvents(await response.text());
    const facts = { name: 'chart.png', mime_type: 'image/png', bytes: 6, fingerprint: picture.fingerprint };
    expect(file).toEqual({ event: 'file', data: { ...facts, data: pictureData } });
    expect(done?.data.files).toEqual([{ ...facts, url: path(picture.fingerprint) }]);
  });

  it('are named in place of the text if there is none', async () => {
    const reply = { text: '', files: [picture, large] };
    const response = await createHandler(fakeChat({ reply, ...keeps(picture) }), acme)(ask(question));
    expect(await response.text()).toBe(
      'The answer has no text. It holds:\n' +
        `- a file: chart.png (image/png, 6 bytes), at ${path(picture.fingerprint)}\n` +
        `- a file: large.png (image/png, ${large.data.byteLength} bytes), sent only with "Accept: application/json"\n`,
    );
  });
});
