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

describe('an answer of the authorize hook that is no identity', () => {
  it.each<[unknown, number]>([
    [null, 401],
    [undefined, 401],
    ['', 401],
    [false, 401],
    [true, 500],
    ['alice', 500],
    [{}, 500],
    [{ tenant: undefined }, 500],
    [{ tenant: ' ' }, 500],
    [{ tenant: 7 }, 500],
    [{ status: 200 }, 500],
    [{ tenant: 'alice', status: 403 }, 403],
    [Promise.resolve({ tenant: null }), 500],
  ])('%j lets nobody in', async (verdict, status) => {
    const handler = createHandler(fakeChat(), { authorize: () => verdict as never });
    expect((await handler(get('/stats'))).status).toBe(status);
  });
});

describe('wrong tokens', () => {
  const bearer = (token: string) => get('/stats', { authorization: `Bearer ${token}` });

  it('are slowed down per client', async () => {
    const handler = createHandler(fakeChat(), { apiToken: 'right' });
    const from = async (address: string | undefined, token: string) =>
      (await handler(bearer(token), { address })).status;
    for (let at = 0; at < 10; at += 1) expect(await from('2001:db8::1', 'wrong')).toBe(401);
    expect(await from('2001:db8::2', 'right')).toBe(429);
    expect(await from('2001:db8:0:1::1', 'right')).toBe(200);
    // Requests of unknown address would otherwise lock one another out.
    for (let at = 0; at < 20; at += 1) expect(await from(undefined, 'wrong')).toBe(401);
  });
});

describe('one client', () => {
  it.each([
    ['::1', '127.0.0.1'],
    ['::ffff:127.0.0.1', '127.1.2.3'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8::1', '2001:db8:0:0:ffff::9'],
    ['fe80::1%eth0', 'fe80::2%eth1'],
    ['garbage', '<script>'],
    ['', undefined],
  ])('has the addresses %s and %s', async (one, other) => {
    const handler = createHandler(fakeChat(), { clientRpm: 1 });
    expect((await handler(ask({ prompt: 'Hi' }), { address: one })).status).toBe(200);
    expect((await handler(ask({ prompt: 'Hi' }), { address: other })).status).toBe(429);
    expect((await handler(ask({ prompt: 'Hi' }), { address: '192.0.2.1' })).status).toBe(200);
  });
});
