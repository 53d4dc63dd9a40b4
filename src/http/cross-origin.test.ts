import { describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { ask, url } from '../../test/support/http-samples.js';
import { createHandler } from './handler.js';
import type { HandlerOptions } from './handler-options.js';

const friend = 'https://app.example';
const stranger = 'https://evil.example';
const allowedOrigins = [`${friend}/`];

const preflight = (origin: string) =>
  new Request(url('/infer'), {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization',
    },
  });

describe('pages of other origins', () => {
  it.each([
    ['none', [], friend, null],
    ['one', allowedOrigins, friend, friend],
    ['one', allowedOrigins, stranger, null],
    ['any', ['*'], stranger, stranger],
    ['an app in a web view', ['capacitor://localhost'], 'capacitor://localhost', 'capacitor://localhost'],
  ])('with %s allowed', async (_what, origins, origin, allowed) => {
    const handler = createHandler(fakeChat(), { allowedOrigins: origins });
    const response = await handler(new Request(url('/stats'), { headers: { origin } }));
    expect(response.status).toBe(allowed === null ? 403 : 200);
    expect(response.headers.get('access-control-allow-origin')).toBe(allowed);
    expect(response.headers.get('vary')).toBe(origins.length > 0 ? 'Origin' : null);
  });

  it('can read refusals and session names if allowed', async () => {
    const handler = createHandler(fakeChat(), { allowedOrigins });
    const response = await handler(ask({}, { origin: friend }));
    expect(response.status).toBe(400);
    expect(response.headers.get('access-control-allow-origin')).toBe(friend);
    expect(response.headers.get('access-control-expose-headers')).toContain('X-Session-Id');
  });

  it('get an answer to a preflight if allowed', async () => {
    const response = await createHandler(fakeChat(), { allowedOrigins, apiToken: 'x' })(preflight(friend));
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-methods')).toBe('POST, OPTIONS');
    expect(response.headers.get('access-control-allow-headers')).toContain('Authorization');
  });

  it('get no permission by a preflight if not allowed', async () => {
    const response = await createHandler(fakeChat(), { allowedOrigins })(preflight(stranger));
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(response.headers.get('access-control-allow-methods')).toBeNull();
  });

  it.each([
    ['a stranger', { origin: stranger, 'sec-fetch-site': 'cross-site' }, 403],
    ['a page without an origin', { origin: 'null', 'sec-fetch-site': 'cross-site' }, 403],
    ['a friend', { origin: friend, 'sec-fetch-site': 'cross-site' }, 200],
    ['the own page', { origin: 'http://localhost', 'sec-fetch-site': 'same-origin' }, 200],
    [
      'another port of the same site',
      { origin: 'http://localhost:8080', 'sec-fetch-site': 'same-site' },
      403,
    ],
    ['a link or image without an origin', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a stranger over plain http', { origin: 'http://evil.example' }, 403],
    ['a sandboxed frame over plain http', { origin: 'null' }, 403],
    ['a name that begins alike', { origin: 'http://localhost.evil.example' }, 403],
    ['the own page over plain http', { origin: 'http://localhost' }, 200],
    ['the own page behind a proxy with TLS', { origin: 'https://localhost', host: 'localhost:443' }, 200],
    ['no browser', {}, 200],
  ])('cannot spend the quota unseen: %s', async (_what, headers, status) => {
    const chat = fakeChat();
    const response = await createHandler(chat, { allowedOrigins })(ask({ prompt: 'Hi' }, headers));
    expect([response.status, chat.requests.length]).toEqual([status, status === 200 ? 1 : 0]);
  });
});

describe('the host name', () => {
  const read = (host: string, options: HandlerOptions = {}, path = '/stats') =>
    createHandler(fakeChat(), options)(new Request(url(path), { headers: { host } }));

  it.each([
    ['localhost:9000', 200],
    ['LOCALHOST', 200],
    ['localhost.', 200],
    ['app.localhost', 200],
    ['127.0.0.1:9000', 200],
    ['[::1]:9000', 200],
    ['192.168.1.7', 200],
    ['chat:9000', 200],
    ['evil.example', 403],
    ['localhost.evil.example:9000', 403],
    ['127.0.0.1.evil.example', 403],
    ['user@localhost', 403],
    ['localhost/', 403],
  ])('%s without a token: %i', async (host, status) => {
    expect((await read(host)).status).toBe(status);
    expect((await read(host, {}, '/')).status).toBe(status);
    expect((await read(host, {}, '/health')).status).toBe(200);
  });

  it.each<[HandlerOptions, number]>([
    [{ allowedHosts: ['Chat.example.com'] }, 200],
    [{ allowedHosts: ['*'] }, 200],
    [{ allowedHosts: ['other.example.com'] }, 403],
    [{ allowedHosts: [], authorize: () => ({ tenant: 'a' }) }, 403],
    [{ authorize: () => ({ tenant: 'a' }) }, 200],
  ])('chat.example.com with %j: %i', async (options, status) => {
    const response = await read('chat.example.com:8443', options);
    expect(response.status).toBe(status);
    if (status === 403) expect((await response.json()).detail).toContain('allowedHosts');
  });
});
