import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { inspect } from 'node:util';
import { EnvHttpProxyAgent, getGlobalDispatcher, setGlobalDispatcher } from 'undici';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { apiKey, ask, run } from '../../../test/support/model-calls.js';
import { event, type RawServer, startRawServer, textChunk } from '../../../test/support/raw-replies.js';
import { ConfigurationError } from '../../core/errors.js';
import { FakeKeyPool } from '../../testing.js';
import { GeminiEmbedder } from './gemini-embedder.js';
import { GeminiModel } from './gemini-model.js';

const secret = 'gateway-password-123';
const keyPool = new FakeKeyPool();

describe('GeminiModel, on its way to the service', () => {
  let server: RawServer;
  let reply: { status: number; body: string };
  beforeEach(async () => {
    reply = { status: 200, body: event(textChunk('Hello.', 'STOP')) };
    server = await startRawServer((response) => {
      response.writeHead(reply.status).end(reply.body);
    });
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await server[Symbol.asyncDispose]();
  });
  const lastRequest = () => server.requests.at(-1);

  it('sends further headers beside the key, also when it embeds', async () => {
    const headers = { Authorization: `Bearer ${secret}`, 'x-tenant': 'acme' };
    expect((await run(new GeminiModel({ baseUrl: server.url, headers }))).end).toBe('stop');
    const expected = { authorization: `Bearer ${secret}`, 'x-tenant': 'acme' };
    expect(lastRequest()?.headers).toMatchObject({ ...expected, 'x-goog-api-key': apiKey });
    reply.body = JSON.stringify({ embeddings: [{ values: Array(768).fill(1) }] });
    const embedder = new GeminiEmbedder({ baseUrl: server.url, headers, keyPool });
    await embedder.embed(['a'], { purpose: 'query' });
    expect(lastRequest()?.headers).toMatchObject(expected);
    expect(lastRequest()?.url).toContain('/v1beta/');
  });

  it('shows no header value in an error that repeats it', async () => {
    reply = { status: 403, body: JSON.stringify({ message: `token ${secret} is not known here` }) };
    const headers = { Authorization: `Bearer ${secret}` };
    const { error, failure } = await run(new GeminiModel({ baseUrl: server.url, headers }));
    expect(failure?.message).toContain('token *** is not known here');
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(secret);
  });

  it('makes requests with the given fetch', async () => {
    const fetch = vi.fn(globalThis.fetch);
    await run(new GeminiModel({ baseUrl: server.url, fetch }));
    expect(fetch).toHaveBeenCalledOnce();
    expect(fetch.mock.calls[0]?.[1]).toMatchObject({ method: 'POST', redirect: 'manual' });
    expect(lastRequest()?.headers['x-goog-api-key']).toBe(apiKey);
  });

  it.each([
    ['', '/v1beta/models/'],
    ['/', '/v1beta/models/'],
    ['/v1beta', '/v1beta/models/'],
    ['/v1beta/', '/v1beta/models/'],
    ['/v1', '/v1/models/'],
    ['/gemini/v1beta//', '/gemini/v1beta/models/'],
    ['/gemini', '/gemini/v1beta/models/'],
  ])('completes a base URL that ends with "%s"', async (path, expected) => {
    await run(new GeminiModel({ baseUrl: server.url + path }));
    expect(lastRequest()?.url).toMatch(new RegExp(`^${expected}gemini`));
    vi.stubEnv('GOOGLE_GEMINI_BASE_URL', server.url + path);
    await run(new GeminiModel());
    expect(lastRequest()?.url).toMatch(new RegExp(`^${expected}gemini`));
  });

  it('prefers the option to the version in the base URL', async () => {
    await run(new GeminiModel({ baseUrl: `${server.url}/v1`, apiVersion: 'v1alpha' }));
    expect(lastRequest()?.url).toMatch(/^\/v1alpha\/models/);
  });

  it.each([
    ['baseUrl', { baseUrl: `http://user:${secret}@host` }, 'must not hold a user name or password'],
    ['baseUrl', { baseUrl: `http://${secret}@host` }, 'must not hold a user name or password'],
    ['baseUrl', { baseUrl: `http://host/?token=${secret}` }, 'without `?` and `#`'],
    ['headers', { headers: { 'X-Goog-Api-Key': secret } }, 'key pool'],
    ['headers', { headers: { 'a b': secret } }, 'HTTP allows'],
    ['headers', { headers: { a: `${secret}\nb: c` } }, 'HTTP allows'],
    ['fetch', { fetch: 'node-fetch' }, 'must be a function'],
    ['apiVersion', { apiVersion: '' }, 'apiVersion'],
  ])('refuses a wrong %s at once, without showing it', (option, options, sentence) => {
    for (const create of [
      () => new GeminiModel(options as object),
      () => new GeminiEmbedder({ keyPool, ...(options as object) }),
    ]) {
      expect(create).toThrow(ConfigurationError);
      expect(create).toThrow(option);
      expect(create).toThrow(sentence);
      expect(create).not.toThrow(secret);
    }
  });

  it('shows no password of GOOGLE_GEMINI_BASE_URL', () => {
    vi.stubEnv('GOOGLE_GEMINI_BASE_URL', `http://user:${secret}@host`);
    expect(() => new GeminiModel()).toThrow('GOOGLE_GEMINI_BASE_URL must not hold a user name or password');
    expect(() => new GeminiModel()).not.toThrow(secret);
  });

  it.each([
    ['a port that fetch blocks', { baseUrl: 'http://127.0.0.1:6000' }],
    [
      'a fetch that refuses the URL',
      {
        baseUrl: 'http://host',
        fetch: async () => {
          throw new TypeError(
            `Request cannot be constructed from a URL that includes credentials: http://u:${secret}@host/`,
          );
        },
      },
    ],
  ])('calls %s a fault of the configuration, and none of the network', async (_, options) => {
    const { error, failure } = await run(new GeminiModel(options));
    expect(failure).toMatchObject({ kind: 'invalid-request', scope: 'call', reason: 'REQUEST_REFUSED' });
    expect(failure?.message).toContain('baseUrl');
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(secret);
  });

  const gatewayReplies: readonly (readonly [number, string, string])[] = [
    [401, JSON.stringify({ message: 'no such token' }), 'permission/call'],
    [
      401,
      JSON.stringify({ error: { message: 'no such token', type: 'auth_error', code: '401' } }),
      'permission/call',
    ],
    [401, JSON.stringify({ error: { message: 'no such token', code: 401 } }), 'permission/call'],
    [401, JSON.stringify([{ error: 'no such token' }]), 'permission/call'],
    [403, JSON.stringify({ detail: 'no such token' }), 'permission/call'],
    [403, JSON.stringify({ detail: [{ loc: ['header'], msg: 'no such token' }] }), 'permission/call'],
    [403, JSON.stringify({ errors: [{ message: 'no such token' }] }), 'permission/call'],
    [403, JSON.stringify({ error: 'API key not valid: no such token' }), 'permission/call'],
    [401, 'no such token', 'invalid-request/call'],
    [403, '<html><head><title>no such token</title></head><p>x</p></html>', 'invalid-request/call'],
    [402, JSON.stringify({ msg: 'no such token' }), 'billing/call'],
    [400, JSON.stringify({ code: 7, reason: 'no such token' }), 'invalid-request/call'],
    [422, JSON.stringify({ detail: 'no such token' }), 'invalid-request/call'],
    [
      429,
      JSON.stringify({ error: { message: 'no such token', type: 'rate_limit' } }),
      'rate-limit/project-model',
    ],
    [500, JSON.stringify({ message: 'no such token' }), 'internal/model'],
    [502, '<html><body>no such token</body></html>', 'internal/model'],
    [503, 'no such token', 'overloaded/model'],
    [200, JSON.stringify({ message: 'no such token' }), 'incomplete/call'],
    [200, '<html><body>no such token</body></html>', 'invalid-request/call'],
  ];
  it.each(gatewayReplies)(
    'keeps the words of a gateway and blames no key: %i %s',
    async (status, body, end) => {
      reply = { status, body };
      const { failure } = await run(new GeminiModel({ baseUrl: server.url }));
      expect(`${failure?.kind}/${failure?.scope}`).toBe(end);
      expect(failure?.message).toContain('no such token');
    },
  );

  it('reads an endless page without braces or an end in no time', async () => {
    reply = { status: 500, body: '<'.repeat(300_000) };
    expect((await run(new GeminiModel({ baseUrl: server.url }))).failure?.kind).toBe('internal');
  });

  it('goes through the proxy of a global dispatcher', async () => {
    const tunnels: string[] = [];
    const proxy = createServer();
    proxy.on('connect', (request, socket) => {
      tunnels.push(request.url ?? '');
      const upstream = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
      upstream.on('error', () => socket.destroy());
      socket.on('error', () => upstream.destroy());
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const before = getGlobalDispatcher();
    const httpProxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const agent = new EnvHttpProxyAgent({ httpProxy, noProxy: '' });
    setGlobalDispatcher(agent);
    try {
      const { end } = await run(new GeminiModel({ baseUrl: 'http://gemini.invalid' }), ask('hello'));
      expect({ end, tunnels }).toEqual({ end: 'stop', tunnels: ['gemini.invalid:80'] });
    } finally {
      setGlobalDispatcher(before);
      await agent.close();
      proxy.close();
    }
  });
});
