import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { apiKey, ask, run } from '../../../test/support/model-calls.js';
import { BlockedError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import { type FaultName, type GeminiEmulator, startGeminiEmulator } from '../../testing.js';
import { GeminiModel } from './gemini-model.js';
import type { GeminiModelOptions } from './gemini-model-options.js';

describe('GeminiModel', () => {
  let emulator: GeminiEmulator;
  let model: GeminiModel;
  const newModel = (options: GeminiModelOptions = {}) =>
    new GeminiModel({ baseUrl: emulator.url, ...options });

  beforeAll(async () => {
    emulator = await startGeminiEmulator();
  });
  beforeEach(() => {
    model = newModel();
  });
  afterEach(() => emulator.clearFaults());
  afterAll(() => emulator.close());

  it.each<[FaultName, Partial<Failure>]>([
    ['bad-key', { kind: 'auth', scope: 'key' }],
    ['expired-key', { kind: 'auth', scope: 'key' }],
    ['restricted-key', { kind: 'permission', scope: 'key' }],
    ['leaked-key', { kind: 'auth', scope: 'key' }],
    ['suspended', { kind: 'permission', scope: 'project' }],
    ['service-disabled', { kind: 'permission', scope: 'project' }],
    [
      'rate-limit',
      { kind: 'rate-limit', scope: 'project-model', retryAfterMs: 30_000, learned: { rpm: 10 } },
    ],
    [
      'token-limit',
      { kind: 'rate-limit', scope: 'project-model', retryAfterMs: 30_000, learned: { tpm: 250_000 } },
    ],
    ['rate-limit-bare', { kind: 'rate-limit', scope: 'project-model' }],
    ['daily-quota', { kind: 'daily-quota', scope: 'project-model', learned: { rpd: 20 } }],
    ['no-quota', { kind: 'no-quota', scope: 'project-model' }],
    ['overloaded', { kind: 'overloaded', scope: 'model' }],
    ['internal', { kind: 'internal', scope: 'model' }],
    ['deadline', { kind: 'timeout', scope: 'model' }],
    ['model-not-found', { kind: 'model-unavailable', scope: 'model' }],
    ['html-error', { kind: 'internal', scope: 'model', status: 502 }],
    ['reset-before-headers', { kind: 'network', scope: 'call' }],
    ['reset-mid-body', { kind: 'network', scope: 'call' }],
    ['truncated-json', { kind: 'incomplete', scope: 'call', reason: 'MALFORMED_JSON' }],
    ['no-finish', { kind: 'incomplete', scope: 'call', reason: 'NO_FINISH_REASON' }],
    ['event-error', { kind: 'overloaded', scope: 'model' }],
    ['error-in-stream', { kind: 'overloaded', scope: 'model' }],
    ['thoughts-only', { kind: 'incomplete', scope: 'call', reason: 'EMPTY_ANSWER' }],
    ['empty-candidates', { kind: 'incomplete', scope: 'call' }],
    ['empty-body', { kind: 'incomplete', scope: 'call', reason: 'EMPTY_REPLY' }],
  ])('classifies "%s" after a single call', async (fault, failure) => {
    const before = emulator.journal.length;
    emulator.inject({ fault, times: Number.POSITIVE_INFINITY });
    const result = await run(model);
    expect(result.failure).toMatchObject(failure);
    expect(result.finish).toBeUndefined();
    expect(emulator.journal.length - before).toBe(1);
  });

  it.each<[FaultName, string, boolean]>([
    ['safety', 'SAFETY', true],
    ['recitation', 'RECITATION', true],
    ['prompt-blocked', 'SAFETY', false],
    ['unknown-block', 'FAKE_NEW_BLOCK_REASON', false],
  ])('throws BlockedError on "%s"', async (fault, reason, hasPartial) => {
    emulator.inject({ fault });
    const { error, text } = await run(model);
    if (!BlockedError.isInstance(error)) throw new Error(`Not blocked: ${error}`);
    expect({ reason: error.reason, partial: error.partial }).toEqual({ reason, partial: text });
    expect(text !== '').toBe(hasPartial);
  });

  it.each<FaultName>(['event-error', 'error-in-stream', 'reset-mid-body', 'truncated-json', 'no-finish'])(
    'keeps the text before "%s"',
    async (fault) => {
      emulator.say('one two three four five six seven eight');
      emulator.inject({ fault });
      const { failure, text } = await run(model);
      expect(failure).toBeDefined();
      expect(text).toMatch(/^one two/);
    },
  );

  it('shows no key, even if the reply echoes it', async () => {
    for (const fault of ['bad-key', 'suspended'] as const) {
      emulator.inject({ fault });
      const { error } = await run(model);
      expect(inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error)).not.toContain(apiKey);
    }
  });

  it('blames a key that no header can hold', async () => {
    const stream = model.stream(ask('hello'), { apiKey: 'bad\nkey-123456' });
    const error = await stream.next().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ failure: { kind: 'auth', scope: 'key' } });
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('key-123456');
  });

  it.each([undefined, ''])('throws without a call if the key is %j', async (apiKey) => {
    const before = emulator.journal.length;
    const error = await model
      .stream(ask('hello'), { apiKey })
      .next()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      name: 'ModelCallError',
      message: expect.stringContaining('without an API key'),
      failure: { kind: 'auth', scope: 'key', reason: 'API_KEY_UNUSABLE' },
    });
    expect(emulator.journal.length).toBe(before);
  });

  it('names what happened on the network', async () => {
    const closed = await startGeminiEmulator();
    await closed.close();
    const { failure } = await run(newModel({ baseUrl: closed.url }));
    expect(failure).toMatchObject({ kind: 'network', scope: 'call', reason: 'ECONNREFUSED' });
    expect(failure?.message).toContain('refused');
  });

  it('names the variable to check after a reply of another server', async () => {
    const { failure } = await run(newModel({ baseUrl: `${emulator.url}/nothing/here` }));
    expect(failure).toMatchObject({ kind: 'invalid-request', scope: 'call', reason: 'NOT_GEMINI' });
    expect(failure?.message).toContain('GOOGLE_GEMINI_BASE_URL');
  });
});
