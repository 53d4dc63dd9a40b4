import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Failure } from '../../../core/failure.js';
import { Redactor } from '../../../core/redact.js';
import { classifyFailure } from './classify-failure.js';

interface Recorded {
  readonly name: string;
  readonly http: number;
  readonly body: unknown;
}

const folder = new URL('../../../../test/fixtures/gemini-payloads/', import.meta.url);
const recorded: readonly Recorded[] = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Recorded);
const errors = recorded.filter((reply) => reply.http !== 200);

/** The recorded error replies and the reaction that each one asks for. */
const expected: Readonly<Record<string, Partial<Failure>>> = {
  '400_api_key_invalid': { kind: 'auth', scope: 'key', reason: 'API_KEY_INVALID' },
  '400_api_key_not_found': { kind: 'auth', scope: 'key', reason: 'API_KEY_INVALID' },
  '400_cached_content_invalid': { kind: 'invalid-request', scope: 'call', reason: 'CACHED_CONTENT' },
  '400_image_rejected_debuginfo': { kind: 'invalid-request', scope: 'call', reason: 'INVALID_ARGUMENT' },
  '400_invalid_argument_bare': { kind: 'invalid-request', scope: 'call', reason: 'INVALID_ARGUMENT' },
  '400_location_unsupported': { kind: 'permission', scope: 'call', reason: 'LOCATION_NOT_SUPPORTED' },
  '400_payload_size': { kind: 'too-large', scope: 'call' },
  '400_prompt_blocked_image_gen': { kind: 'blocked', scope: 'call', reason: 'PROHIBITED_CONTENT' },
  '400_token_limit': { kind: 'too-large', scope: 'call' },
  '403_api_key_service_blocked': { kind: 'permission', scope: 'key', reason: 'API_KEY_SERVICE_BLOCKED' },
  '403_consumer_suspended': {
    kind: 'permission',
    scope: 'project',
    reason: 'CONSUMER_SUSPENDED',
    project: '000000000000',
  },
  '403_file_not_yours': { kind: 'invalid-request', scope: 'call', reason: 'FILE_NOT_ACCESSIBLE' },
  '403_iam': { kind: 'permission', scope: 'project-model', reason: 'IAM_PERMISSION_DENIED' },
  '403_leaked_key': { kind: 'auth', scope: 'key', reason: 'API_KEY_LEAKED' },
  '403_service_disabled': {
    kind: 'permission',
    scope: 'project',
    reason: 'SERVICE_DISABLED',
    project: '12345678',
  },
  '404_html': { kind: 'invalid-request', scope: 'call', reason: 'NOT_GEMINI' },
  '404_model_not_found': { kind: 'model-unavailable', scope: 'model', reason: 'NOT_FOUND' },
  '429_bare': { kind: 'rate-limit', scope: 'project-model', retryAfterMs: undefined, learned: undefined },
  '429_limit_zero_free_tier': {
    kind: 'no-quota',
    scope: 'project-model',
    retryAfterMs: undefined,
    learned: undefined,
  },
  '429_rpd_free_requests_short_delay': {
    kind: 'daily-quota',
    scope: 'project-model',
    retryAfterMs: undefined,
    learned: { rpd: 20 },
  },
  '429_rpm_retryinfo_fraction': {
    kind: 'rate-limit',
    scope: 'project-model',
    retryAfterMs: 34_400,
    learned: undefined,
  },
  '429_service_quota_errorinfo_zero_region': {
    kind: 'no-quota',
    scope: 'project-model',
    project: '348715329010',
    retryAfterMs: undefined,
  },
  '429_tpm_free_input_tokens': {
    kind: 'rate-limit',
    scope: 'project-model',
    retryAfterMs: 26_000,
    learned: { tpm: 250_000 },
  },
  '429_tpm_paid_input_tokens': {
    kind: 'rate-limit',
    scope: 'project-model',
    retryAfterMs: 33_821,
    learned: { tpm: 1_000_000 },
  },
  '429_tpm_poison_single_request': {
    kind: 'rate-limit',
    scope: 'project-model',
    retryAfterMs: 1467,
    learned: { tpm: 1_000_000 },
  },
  '500_internal_encountered': { kind: 'internal', scope: 'model', reason: 'INTERNAL' },
  '503_overloaded': { kind: 'overloaded', scope: 'model', reason: 'UNAVAILABLE' },
  '504_deadline': { kind: 'timeout', scope: 'model', reason: 'DEADLINE_EXCEEDED' },
  cache_context_cache_model_doesnt_match: {
    kind: 'invalid-request',
    scope: 'call',
    reason: 'CACHED_CONTENT',
  },
  cache_context_cache_not_found: { kind: 'invalid-request', scope: 'call', reason: 'CACHED_CONTENT' },
  headers_429_stream: { kind: 'rate-limit', scope: 'project-model', retryAfterMs: undefined },
};

const rpcStatuses: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
};

/** An error of Google: they all have a status. */
const apiError = (code: number, message: string, reason?: string) => ({
  error: {
    code,
    message,
    status: rpcStatuses[code] ?? 'UNKNOWN',
    ...(reason ? { details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason }] } : {}),
  },
});

describe('classifyFailure, given recorded replies', () => {
  it('has an expectation for every recorded error', () => {
    expect(Object.keys(expected).sort()).toEqual(errors.map((reply) => reply.name).sort());
  });

  it.each(errors)('$name', ({ name, http, body }) => {
    const failure = classifyFailure({ status: http, body });
    for (const [field, value] of Object.entries(expected[name] ?? {}))
      expect({ [field]: failure[field as keyof Failure] }).toEqual({ [field]: value });
    expect(failure.status).toBe(http);
    expect(failure.message).toMatch(/^[A-Z].*\.$/);
    // The same reply as raw text, as it comes from the network.
    const raw = typeof body === 'string' ? body : JSON.stringify(body);
    expect(classifyFailure({ status: http, body: raw })).toEqual(failure);
  });
});

describe('classifyFailure, given other replies', () => {
  it.each<[string, number, unknown, Partial<Failure>]>([
    [
      'an error list of an unframed stream',
      503,
      [apiError(503, 'The model is overloaded.')],
      { kind: 'overloaded', scope: 'model' },
    ],
    [
      'an expired key',
      400,
      apiError(400, 'API key expired. Please renew the API key.', 'API_KEY_INVALID'),
      { kind: 'auth', scope: 'key' },
    ],
    [
      'a key bound to other referrers',
      403,
      apiError(403, 'Requests from referer <empty> are blocked.', 'API_KEY_HTTP_REFERRER_BLOCKED'),
      { kind: 'permission', scope: 'key' },
    ],
    [
      'no credentials',
      401,
      apiError(401, 'Request had invalid authentication credentials.'),
      { kind: 'auth', scope: 'key' },
    ],
    [
      'disabled billing',
      403,
      apiError(403, 'This API method requires billing to be enabled.', 'BILLING_DISABLED'),
      { kind: 'billing', scope: 'project' },
    ],
    [
      'used-up credit',
      429,
      apiError(429, 'Your prepayment credits are depleted.'),
      { kind: 'billing', scope: 'project' },
    ],
    [
      'a spending limit over ten minutes',
      429,
      apiError(429, 'You exceeded the spend-based rate limit of your project.'),
      { kind: 'rate-limit', scope: 'project', reason: 'SPEND_LIMIT', retryAfterMs: 600_000 },
    ],
    [
      'a spending limit that says when it ends',
      429,
      apiError(429, 'Spend limit reached. Please retry in 90s.'),
      { kind: 'rate-limit', scope: 'project', retryAfterMs: 90_000 },
    ],
    [
      'the spending cap of a month',
      429,
      apiError(429, 'Your project has exceeded its monthly spending cap.'),
      { kind: 'billing', scope: 'project' },
    ],
    [
      'a retired model',
      404,
      apiError(404, 'models/gemini-2.0-flash is no longer available.'),
      { kind: 'model-unavailable', scope: 'model' },
    ],
    ['an unknown 403 of Gemini', 403, apiError(403, 'No.'), { kind: 'permission', scope: 'project-model' }],
    ['a 403 page of a firewall', 403, '<html>Forbidden</html>', { kind: 'invalid-request', scope: 'call' }],
    ['a 502 page of a load balancer', 502, '<html>Bad Gateway</html>', { kind: 'internal', scope: 'model' }],
    [
      'a 503 page of a load balancer',
      503,
      '<html>Unavailable</html>',
      { kind: 'overloaded', scope: 'model' },
    ],
    ['an empty 500', 500, '', { kind: 'internal', scope: 'model' }],
    [
      'an upload over the limit of a proxy',
      413,
      '<html>Too large</html>',
      { kind: 'too-large', scope: 'call' },
    ],
    ['a 404 of another API', 404, { detail: 'Not Found' }, { kind: 'invalid-request', reason: 'NOT_GEMINI' }],
    ['a redirect', 302, '', { kind: 'invalid-request', scope: 'call', reason: 'NOT_GEMINI' }],
    ['an unknown 4xx', 418, apiError(418, 'I am a teapot.'), { kind: 'invalid-request', scope: 'call' }],
    [
      'a cancelled stream inside a 200',
      200,
      apiError(499, 'The operation was cancelled.'),
      { kind: 'incomplete', scope: 'call', status: 499 },
    ],
    [
      'an overload inside a 200',
      200,
      apiError(503, 'Overloaded.'),
      { kind: 'overloaded', scope: 'model', status: 503 },
    ],
    [
      'an HTML page with status 200',
      200,
      '<html>Welcome</html>',
      { kind: 'invalid-request', scope: 'call', reason: 'NOT_GEMINI' },
    ],
    ['foreign JSON with status 200', 200, { hello: 'world' }, { kind: 'incomplete', scope: 'call' }],
  ])('%s', (_, status, body, wanted) => {
    expect(classifyFailure({ status, body })).toMatchObject(wanted);
  });

  it.each<[string, unknown, number | undefined]>([
    ['whole seconds', '36s', 36_000],
    ['a fraction', '0.25s', 250],
    ['nine decimals, rounded up', '1.000000001s', 1001],
    ['another unit', '5m', undefined],
    ['a number', 36, undefined],
    ['a negative delay', '-1s', undefined],
    ['words', 'soon', undefined],
  ])('reads RetryInfo strictly: %s', (_, retryDelay, retryAfterMs) => {
    const body = {
      error: {
        code: 429,
        message: 'Quota.',
        details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay }],
      },
    };
    expect(classifyFailure({ status: 429, body }).retryAfterMs).toBe(retryAfterMs);
  });

  it.each([
    ['Please retry in 831.5ms.', 832],
    ['Please retry in 1h2m3.5s.', 3_723_500],
    ['Please retry in 7s', 7000],
    ['Please retry later.', undefined],
  ])('reads the sentence: %s', (message, retryAfterMs) => {
    expect(classifyFailure({ status: 429, body: apiError(429, message) }).retryAfterMs).toBe(retryAfterMs);
  });

  it.each([
    ['7', 7000],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['nonsense', undefined],
  ])('reads a Retry-After header that a proxy set: %s', (retryAfter, retryAfterMs) => {
    const nowMs = Date.UTC(2026, 0, 1);
    expect(classifyFailure({ status: 503, body: '', retryAfter, nowMs }).retryAfterMs).toBe(retryAfterMs);
  });

  it('learns every limit in one reply', () => {
    const violations = [
      { quotaId: 'GenerateRequestsPerMinutePerProjectPerModel', quotaValue: '10' },
      { quotaId: 'GenerateContentInputTokensPerModelPerMinute', quotaValue: '250000' },
    ];
    const details = [{ '@type': 'type.googleapis.com/google.rpc.QuotaFailure', violations }];
    const failure = classifyFailure({
      status: 429,
      body: { error: { code: 429, message: 'Quota.', details } },
    });
    expect(failure).toMatchObject({ kind: 'rate-limit', learned: { rpm: 10, tpm: 250_000 } });
  });

  it('removes a key that the reply echoes', () => {
    const body = apiError(
      403,
      "Consumer 'api_key:custom-key-77' has been suspended, custom-key-77.",
      'CONSUMER_SUSPENDED',
    );
    const failure = classifyFailure({ status: 403, body, redactor: new Redactor(['custom-key-77']) });
    expect(JSON.stringify(failure)).not.toContain('custom-key-77');
  });

  it('removes a key before it cuts a long sentence', () => {
    const key = 'custom key 77, with spaces';
    const body = apiError(400, `${'x'.repeat(290)}${key} was refused.`, 'INVALID_ARGUMENT');
    const failure = classifyFailure({ status: 400, body, redactor: new Redactor([key]) });
    expect(failure.message).not.toContain('custom');
  });

  it('returns a failure for any reply', () => {
    fc.assert(
      fc.property(
        fc.option(fc.integer({ min: 200, max: 599 }), { nil: undefined }),
        fc.jsonValue(),
        (status, body) => {
          const failure = classifyFailure({ status, body });
          expect(failure.message).not.toBe('');
          expect(failure.scope).toBeTypeOf('string');
        },
      ),
    );
  });
});

describe('classifyFailure, given what was thrown', () => {
  const fetchFailed = (code: string) =>
    new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) });

  it.each<[string, unknown, boolean, Partial<Failure>]>([
    [
      'a refused connection',
      fetchFailed('ECONNREFUSED'),
      true,
      { kind: 'network', scope: 'call', reason: 'ECONNREFUSED' },
    ],
    [
      'a refused connection to several addresses',
      new TypeError('fetch failed', {
        cause: new AggregateError([Object.assign(new Error(), { code: 'ECONNREFUSED' })]),
      }),
      true,
      { kind: 'network', reason: 'ECONNREFUSED' },
    ],
    [
      'a reset in the body',
      new TypeError('terminated', { cause: fetchFailed('UND_ERR_SOCKET').cause }),
      true,
      { kind: 'network', scope: 'call' },
    ],
    ['a failure without any code', new TypeError('fetch failed'), true, { kind: 'network', scope: 'call' }],
    [
      "undici's own time limit",
      fetchFailed('UND_ERR_HEADERS_TIMEOUT'),
      true,
      { kind: 'timeout', scope: 'call' },
    ],
    [
      'broken JSON',
      new SyntaxError('Unexpected end of JSON input'),
      true,
      { kind: 'incomplete', scope: 'call' },
    ],
    [
      'a key that no header can hold',
      new TypeError('Headers.append: "bad\nkey" is an invalid header value.'),
      false,
      { kind: 'auth', scope: 'key' },
    ],
    [
      'a request that cannot be built',
      new Error('contents are required'),
      false,
      { kind: 'invalid-request', scope: 'call' },
    ],
    ['anything else', 'a string', true, { kind: 'internal', scope: 'call' }],
  ])('%s', (_, error, sent, wanted) => {
    expect(classifyFailure({ error, sent })).toMatchObject(wanted);
  });
});
