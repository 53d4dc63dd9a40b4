import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FaultName, Injection } from '../faults/faults.js';
import { type GeminiEmulator, startGeminiEmulator } from '../gemini-emulator.js';

interface Recording {
  readonly http: number;
  readonly contentType: string;
  readonly body: unknown;
}

const recording = (name: string): Recording =>
  JSON.parse(readFileSync(join('test/fixtures/gemini-payloads', `${name}.json`), 'utf8'));

/** Keys, types and machine-readable words of a body; free text and numbers are left open. */
function shapeOf(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => shapeOf(item));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shapeOf(item, name)]));
  const isWord = [
    '@type',
    'status',
    'reason',
    'domain',
    'code',
    'locale',
    'quotaId',
    'quotaMetric',
    'service',
  ];
  return isWord.includes(key) ? value : typeof value;
}

let emulator: GeminiEmulator;
beforeAll(async () => {
  emulator = await startGeminiEmulator();
});
afterAll(() => emulator.close());

async function ask(injection: Injection, method = 'generateContent', query = ''): Promise<Response> {
  emulator.inject(injection);
  return fetch(`${emulator.url}/v1beta/models/gemini-3.8-flash:${method}${query}`, {
    method: 'POST',
    headers: { 'x-goog-api-key': 'a-key' },
    body: JSON.stringify({ contents: [{ parts: [{ text: 'Hello' }] }] }),
  });
}

describe('an emulated error', () => {
  it.each<[FaultName, string]>([
    ['bad-key', '400_api_key_invalid'],
    ['expired-key', '400_api_key_not_found'],
    ['restricted-key', '403_api_key_service_blocked'],
    ['leaked-key', '403_leaked_key'],
    ['suspended', '403_consumer_suspended'],
    ['service-disabled', '403_service_disabled'],
    ['rate-limit-bare', '429_bare'],
    ['model-not-found', '404_model_not_found'],
    ['internal', '500_internal_encountered'],
    ['overloaded', '503_overloaded'],
    ['deadline', '504_deadline'],
  ])('has for %s the shape of the recorded %s', async (fault, name) => {
    const recorded = recording(name);
    const response = await ask({ fault });
    expect(response.status).toBe(recorded.http);
    expect(response.headers.get('content-type')).toBe(recorded.contentType);
    expect(shapeOf(await response.json())).toEqual(shapeOf(recorded.body));
  });

  it('names a daily quota as recorded, with a link between its two details', async () => {
    const recorded = recording('429_rpd_free_requests_short_delay').body as RateLimitBody;
    const body = (await (await ask({ fault: 'daily-quota' })).json()) as RateLimitBody;
    expect(body.error.message).toContain(
      'limit: 20, model: gemini-3.8-flash\nPlease retry in 36.430000000s.',
    );
    expect(violationOf(body)).toMatchObject({
      ...violationOf(recorded),
      quotaDimensions: { location: 'global', model: 'gemini-3.8-flash' },
    });
    expect(detailOf(body, 'RetryInfo')).toEqual(detailOf(recorded, 'RetryInfo'));
  });

  it('has for tokens per minute the shape of the recorded 429_tpm_free_input_tokens', async () => {
    const poor = await startGeminiEmulator({ projects: [{ id: 'p', keys: ['k'], limits: { tpm: 1 } }] });
    try {
      const response = await fetch(`${poor.url}/v1beta/models/gemini-3.8-flash:generateContent`, {
        method: 'POST',
        headers: { 'x-goog-api-key': 'k' },
        body: JSON.stringify({ contents: [{ parts: [{ text: 'more than one token' }] }] }),
      });
      const shape = shapeOf(recording('429_tpm_free_input_tokens').body);
      expect(shapeOf(await response.json())).toEqual(shape);
      expect(shapeOf(await (await ask({ fault: 'token-limit' })).json())).toEqual(shape);
    } finally {
      await poor.close();
    }
  });

  it('truncates the advised delay to whole seconds, but not in the message', async () => {
    const body = (await (await ask({ fault: 'rate-limit', delayMs: 1999 })).json()) as RateLimitBody;
    expect(detailOf(body, 'RetryInfo')).toMatchObject({ retryDelay: '1s' });
    expect(body.error.message).toMatch(/Please retry in 1\.999000000s\.$/);
  });

  it('names every quota with limit 0 if a model may not be used at all', async () => {
    const body = (await (await ask({ fault: 'no-quota' })).json()) as RateLimitBody;
    const recorded = recording('429_limit_zero_free_tier').body as RateLimitBody;
    const limits = (text: string) => text.match(/metric: \S+ limit: 0/g);
    expect(limits(body.error.message)).toEqual(limits(recorded.error.message));
  });

  it('has content type text/event-stream on an event stream, and no Retry-After', async () => {
    const response = await ask({ fault: 'rate-limit' }, 'streamGenerateContent', '?alt=sse');
    const recorded = recording('headers_429_stream').body as Record<string, string>;
    expect(response.status).toBe(429);
    expect(response.headers.get('content-type')).toBe(recorded['Content-Type']);
    expect(response.headers.get('retry-after')).toBeNull();
    expect(((await response.json()) as RateLimitBody).error.code).toBe(429);
  });

  it('wraps the error of a stream without events in an array', async () => {
    const response = await ask({ fault: 'overloaded' }, 'streamGenerateContent');
    expect(await response.json()).toMatchObject([{ error: { code: 503 } }]);
  });

  it('echoes keys as Google does', async () => {
    expect(await (await ask({ fault: 'suspended' })).text()).toContain('api_key:a-key');
    expect(await (await ask({ fault: 'bad-key' })).text()).toContain('Invalid API key: a-key');
  });
});

describe('an emulated refusal to answer', () => {
  it.each<[FaultName, string]>([
    ['prompt-blocked', '200_prompt_blocked_safety'],
    ['empty-candidates', '200_only_prompt_feedback'],
    ['safety', '200_finish_safety'],
    ['unknown-finish', '200_unknown_finish_enum'],
  ])('tells for %s the same as the recorded %s', async (fault, name) => {
    const recorded = recording(name).body as Answer;
    const body = (await (await ask({ fault })).json()) as Answer;
    const verdict = ({ candidates, promptFeedback }: Answer) => ({
      finishReason: candidates?.[0]?.finishReason,
      hasText: candidates?.[0]?.content?.parts?.[0]?.text !== undefined,
      blockReason: promptFeedback?.blockReason,
      candidates: candidates?.length,
    });
    expect(verdict(body)).toEqual(verdict(recorded));
  });
});

interface RateLimitBody {
  readonly error: {
    readonly code: number;
    readonly message: string;
    readonly details: readonly Record<string, unknown>[];
  };
}

interface Answer {
  readonly candidates?: readonly {
    readonly finishReason?: string;
    readonly content?: { readonly parts?: readonly { readonly text?: string }[] };
  }[];
  readonly promptFeedback?: { readonly blockReason?: string };
}

const detailOf = (body: RateLimitBody, type: string) =>
  body.error.details.find((detail) => detail['@type'] === `type.googleapis.com/google.rpc.${type}`);

const violationOf = (body: RateLimitBody) =>
  (detailOf(body, 'QuotaFailure') as { violations: readonly Record<string, unknown>[] }).violations[0];
