import { describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { ask, url } from '../../test/support/http-samples.js';
import { createHandler } from './handler.js';

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
  ])('with %s allowed', async (_what, origins, origin, allowed) => {
    const handler = createHandler(fakeChat(), { allowedOrigins: origins });
    const response = await handler(new Request(url('/stats'), { headers: { origin } }));
    expect(response.status).toBe(200);
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
    ['no browser', {}, 200],
  ])('cannot spend the quota unseen: %s', async (_what, headers, status) => {
    const chat = fakeChat();
    const response = await createHandler(chat, { allowedOrigins })(ask({ prompt: 'Hi' }, headers));
    expect([response.status, chat.requests.length]).toEqual([status, status === 200 ? 1 : 0]);
  });
});
