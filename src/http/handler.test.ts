import { describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { url } from '../../test/support/http-samples.js';
import { createHandler } from './handler.js';

describe('the routes beside POST /infer', () => {
  it.each([
    ['GET', '/health', 200, { status: 'ok' }],
    ['GET', '/', 200, { status: 'ok', message: 'Service is running' }],
    ['GET', '/stats/', 200, expect.objectContaining({ api_key_stats: {}, cache_size: 0 })],
    ['GET', '/nothing', 404, expect.objectContaining({ detail: expect.any(String) })],
    ['GET', '/sessions/', 404, expect.objectContaining({ detail: expect.any(String) })],
    ['GET', '/sessions/a/b', 404, expect.objectContaining({ detail: expect.any(String) })],
    [
      'GET',
      '/sessions/%ff',
      400,
      expect.objectContaining({ detail: expect.stringContaining('percent-encoded') }),
    ],
    ['GET', '/sessions/a%00b', 400, expect.objectContaining({ detail: expect.stringContaining('control') })],
    [
      'GET',
      '/sessions/a?limit=0',
      400,
      expect.objectContaining({ detail: expect.stringContaining('limit') }),
    ],
  ])('%s %s', async (method, path, status, body) => {
    const response = await createHandler(fakeChat())(new Request(url(path), { method }));
    expect(response.status).toBe(status);
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await response.json()).toEqual(body);
  });

  it.each([
    ['GET', '/infer', 'POST, OPTIONS'],
    ['POST', '/stats', 'GET, HEAD, OPTIONS'],
    ['PUT', '/sessions/a', 'GET, HEAD, DELETE, OPTIONS'],
  ])('refuses %s %s and lists the allowed methods', async (method, path, allow) => {
    const response = await createHandler(fakeChat())(new Request(url(path), { method }));
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe(allow);
    expect(await response.json()).toMatchObject({ error: { code: 'METHOD_NOT_ALLOWED' } });
  });

  it('answers HEAD like GET, without the body', async () => {
    const handler = createHandler(fakeChat());
    const get = await handler(new Request(url('/stats')));
    const head = await handler(new Request(url('/stats'), { method: 'HEAD' }));
    expect([...head.headers]).toEqual([...get.headers]);
    expect(await head.text()).toBe('');
  });

  it('answers OPTIONS with the allowed methods', async () => {
    const response = await createHandler(fakeChat())(new Request(url('/infer'), { method: 'OPTIONS' }));
    expect([response.status, response.headers.get('allow')]).toEqual([204, 'POST, OPTIONS']);
  });

  it('serves only paths below the base path', async () => {
    const handler = createHandler(fakeChat(), { basePath: '/api/' });
    const statuses = ['/api', '/api/', '/api/health', '/health', '/apix/health'].map(async (path) => {
      const { status } = await handler(new Request(url(path)));
      return status;
    });
    expect(await Promise.all(statuses)).toEqual([200, 200, 200, 404, 404]);
  });

  it('shows statistics in the documented shape', async () => {
    const chat = fakeChat({
      stats: {
        keys: {
          queued: 1,
          inFlight: 2,
          keys: [
            {
              id: 'key_1_...w2Do',
              project: 'alpha',
              usageCount: 15,
              successCount: 14,
              failureCount: 1,
              inFlight: 2,
              lastErrorAt: null,
              lastError: null,
              isCurrent: true,
              state: 'ready',
              rejections: { rpm: 1, tpm: 0, rpd: 0, unknown: 0 },
              serverErrors: 2,
              wastedCalls: 3,
              windows: [
                {
                  model: 'gemini-x',
                  requests: 9,
                  inputTokens: 800,
                  requestsToday: 50,
                  rpm: { value: 10, origin: 'learned' },
                  tpm: { value: null, origin: 'unknown' },
                  rpd: { value: 1500, origin: 'configured' },
                  inFlight: 1,
                  nextFreeAt: 1_700_000_001_500,
                },
              ],
            },
            {
              id: 'key_2_...x9',
              project: 'beta',
              usageCount: 3,
              successCount: 0,
              failureCount: 3,
              inFlight: 0,
              lastErrorAt: 1_700_000_000_900,
              lastError: 'Over the limit.',
              isCurrent: false,
              state: 'cooling',
              reason: 'It waits for its quota.',
              until: 1_700_000_060_000,
            },
          ],
        },
        memory: {
          turns: 7,
          sessions: 2,
          cacheSize: 42,
          pending: 0,
          diskBytes: 4096,
          isDegraded: false,
          lastError: null,
        },
        calls: { total: 20, inFlight: 2, succeeded: 16, failed: 1, cancelled: 1, hedged: 3 },
        summaries: { made: 4, failed: 1, postponed: 2, lastErrorAt: 1_700_000_000_500, lastError: 'No.' },
      },
    });
    const response = await createHandler(chat)(new Request(url('/stats')));
    expect(await response.json()).toEqual({
      api_key_stats: {
        'key_1_...w2Do': {
          usage_count: 15,
          success_count: 14,
          failure_count: 1,
          in_flight: 2,
          last_error: null,
          last_error_message: null,
          is_current: true,
          project: 'alpha',
          state: 'ready',
          rejections: { rpm: 1, tpm: 0, rpd: 0, unknown: 0 },
          server_errors: 2,
          wasted_calls: 3,
          windows: [
            {
              model: 'gemini-x',
              requests: 9,
              input_tokens: 800,
              requests_today: 50,
              rpm: { value: 10, origin: 'learned' },
              tpm: { value: null, origin: 'unknown' },
              rpd: { value: 1500, origin: 'configured' },
              in_flight: 1,
              next_free_at: 1_700_000_001.5,
            },
          ],
        },
        'key_2_...x9': {
          usage_count: 3,
          success_count: 0,
          failure_count: 3,
          in_flight: 0,
          last_error: 1_700_000_000,
          last_error_message: 'Over the limit.',
          is_current: false,
          project: 'beta',
          state: 'cooling',
          reason: 'It waits for its quota.',
          until: 1_700_000_060,
        },
      },
      cache_size: 42,
      queued: 1,
      in_flight: 2,
      calls: { total: 20, in_flight: 2, succeeded: 16, failed: 1, cancelled: 1, hedged: 3 },
      summaries: {
        made: 4,
        failed: 1,
        postponed: 2,
        last_error: 1_700_000_000.5,
        last_error_message: 'No.',
      },
      media_archive: null,
      memory: {
        turns: 7,
        sessions: 2,
        pending: 0,
        disk_bytes: 4096,
        is_degraded: false,
        last_error_at: null,
      },
      started_at: 1_700_000_000,
    });
  });

  it('repeats the notice in GET /, GET /stats and a header', async () => {
    const handler = createHandler(fakeChat(), { notice: 'Demo — no Gemini' });
    const home = await handler(new Request(url('/')));
    const stats = await handler(new Request(url('/stats')));
    expect([await home.json(), await stats.json()]).toMatchObject([
      { notice: 'Demo — no Gemini' },
      { notice: 'Demo — no Gemini' },
    ]);
    expect(decodeURIComponent(stats.headers.get('x-notice') ?? '')).toBe('Demo — no Gemini');
  });
});
