import { describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { ask, url } from '../../test/support/http-samples.js';
import { createHandler } from './handler.js';
import type { HandlerOptions } from './handler-options.js';

const get = (path: string, headers: Record<string, string> = {}) => new Request(url(path), { headers });

describe('the API token', () => {
  const handler = createHandler(fakeChat(), { apiToken: 'open sesame'.replace(' ', '-') });

  it.each([
    ['no token', {}, 401],
    ['another scheme', { authorization: 'Basic open-sesame' }, 401],
    ['a wrong token', { authorization: 'Bearer open-sesamE' }, 401],
    ['a longer token', { authorization: 'Bearer open-sesame1' }, 401],
    ['the token', { authorization: 'Bearer open-sesame' }, 200],
    ['the scheme in lower case', { authorization: 'bearer open-sesame' }, 200],
  ])('%s', async (_what, headers, status) => {
    const response = await handler(get('/stats', headers));
    expect(response.status).toBe(status);
    expect(response.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null);
  });

  it.each([
    ['/', 200],
    ['/health', 200],
    ['/stats', 401],
    ['/sessions/a', 401],
  ])('guards what can be asked or read: %s', async (path, status) => {
    expect((await handler(get(path))).status).toBe(status);
  });

  it('is checked before the question is read', async () => {
    const chat = fakeChat();
    const request = ask({ prompt: 'Hi' });
    const response = await createHandler(chat, { apiToken: 'x' })(request);
    expect([response.status, request.bodyUsed, chat.requests]).toEqual([401, false, []]);
    expect(response.headers.get('x-session-id')).not.toBeNull();
  });
});

describe('the authorize hook', () => {
  const authorize: HandlerOptions['authorize'] = async (request) => {
    const user = request.headers.get('x-user');
    if (user === 'mallory') return { status: 403, message: 'Not you.' };
    if (user === 'crash') throw new Error('database down');
    return user === null ? undefined : { tenant: user };
  };

  it('sets the tenant of a question', async () => {
    const chat = fakeChat();
    await createHandler(chat, { authorize })(ask({ prompt: 'Hi' }, { 'x-user': 'alice' }));
    expect(chat.requests).toMatchObject([{ tenant: 'alice' }]);
  });

  it.each([
    ['nobody it knows', {}, 401],
    ['somebody it refuses', { 'x-user': 'mallory' }, 403],
    ['its own failure', { 'x-user': 'crash' }, 500],
  ])('lets nobody in: %s', async (_what, headers, status) => {
    const chat = fakeChat();
    const response = await createHandler(chat, { authorize })(ask({ prompt: 'Hi' }, headers));
    expect([response.status, chat.requests]).toEqual([status, []]);
  });
});

describe('the rate limit', () => {
  it('counts each client separately and says when to try again', async () => {
    const handler = createHandler(fakeChat(), { clientRpm: 2 });
    const statusFor = async (address: string) => (await handler(ask({ prompt: 'Hi' }), { address })).status;
    expect([await statusFor('1.1.1.1'), await statusFor('1.1.1.1'), await statusFor('2.2.2.2')]).toEqual([
      200, 200, 200,
    ]);
    const refused = await handler(ask({ prompt: 'Hi' }), { address: '1.1.1.1' });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(await refused.json()).toMatchObject({ error: { code: 'TOO_MANY_REQUESTS' } });
  });

  it('does not limit other routes', async () => {
    const handler = createHandler(fakeChat(), { clientRpm: 1 });
    const statuses = [await handler(get('/stats')), await handler(get('/stats'))].map(({ status }) => status);
    expect(statuses).toEqual([200, 200]);
  });

  it('identifies clients by `clientAddress`', async () => {
    const handler = createHandler(fakeChat(), {
      clientRpm: 1,
      clientAddress: (request) => request.headers.get('x-user') ?? undefined,
    });
    const statusOf = async (user: string) =>
      (await handler(ask({ prompt: 'Hi' }, { 'x-user': user }))).status;
    expect([await statusOf('a'), await statusOf('b'), await statusOf('a')]).toEqual([200, 200, 429]);
  });
});
