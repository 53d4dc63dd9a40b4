import { getEventListeners } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { recordedAnswers, wireBytes } from '../../test/support/recorded-answers.js';
import { BlockedError, ConfigurationError, ModelCallError } from '../errors.js';
import { type FaultName, type GeminiEmulator, startGeminiEmulator, VirtualClock } from '../testing.js';
import type { Failure } from '../types.js';
import type { ModelContent, ModelEvent, ModelRequest } from './chat-model.js';
import { GeminiModel, type GeminiModelOptions } from './gemini-model.js';

const apiKey = 'AIzaSy-test-key-0123456789';
const chatModel = 'gemini-3.8-flash';

const ask = (text: string, more: Partial<ModelRequest> = {}): ModelRequest => ({
  model: chatModel,
  contents: [{ role: 'user', parts: [{ type: 'text', text }] }],
  generation: {},
  ...more,
});

/** Runs a call to its end, however it ends. */
async function run(model: GeminiModel, request = ask('hello'), signal?: AbortSignal) {
  const events: ModelEvent[] = [];
  let error: unknown;
  try {
    for await (const event of model.stream(request, { apiKey, signal })) events.push(event);
  } catch (thrown) {
    error = thrown;
  }
  const joined = (type: 'text' | 'thought') =>
    events.flatMap((event) => (event.type === type ? [event.text] : [])).join('');
  const finish = events.find((event) => event.type === 'finish');
  const failure = ModelCallError.isInstance(error) ? error.failure : undefined;
  const end = BlockedError.isInstance(error)
    ? `blocked: ${error.reason}`
    : failure
      ? `${failure.kind}/${failure.scope}: ${failure.reason}`
      : (finish?.finishReason ?? error);
  return { events, error, failure, finish, end, text: joined('text'), thoughts: joined('thought') };
}

describe('GeminiModel against the emulator', () => {
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
  afterEach(() => {
    emulator.clearFaults();
    vi.unstubAllEnvs();
  });
  afterAll(() => emulator.close());

  const lastCall = async () => {
    await emulator.whenIdle();
    const call = emulator.journal.at(-1);
    if (!call) throw new Error('The emulator has received no call.');
    return call;
  };

  describe('the request', () => {
    it('carries the key in a header and nothing that was not set', async () => {
      await run(model);
      const { body, key, keyInUrl, path, stream } = await lastCall();
      expect({ key, keyInUrl, path, stream }).toEqual({
        key: apiKey,
        keyInUrl: false,
        path: `/v1beta/models/${chatModel}:streamGenerateContent`,
        stream: true,
      });
      expect(Object.keys(body as object).sort()).toEqual(['contents', 'generationConfig']);
      expect((body as { generationConfig: unknown }).generationConfig).toEqual({});
    });

    it('carries everything that was set', async () => {
      const generation = {
        maxOutputTokens: 99,
        stopSequences: ['END'],
        temperature: 0.5,
        topP: 0.9,
        topK: 7,
        thinkingLevel: 'low',
        includeThoughts: true,
        responseMimeType: 'application/json',
        responseJsonSchema: { type: 'object' },
        safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }],
      } as const;
      await run(model, ask('hello', { systemInstruction: 'Be brief.', generation }));
      const { thinkingLevel: _, includeThoughts: __, safetySettings, ...plain } = generation;
      expect((await lastCall()).body).toMatchObject({
        systemInstruction: { parts: [{ text: 'Be brief.' }] },
        generationConfig: { ...plain, thinkingConfig: { thinkingLevel: 'LOW', includeThoughts: true } },
        safetySettings,
      });
    });

    it('sends pictures in line and files by their address, in order', async () => {
      const png = Buffer.from(
        'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
        'base64',
      );
      const contents: readonly ModelContent[] = [
        {
          role: 'user',
          parts: [
            { type: 'text', text: 'look' },
            { type: 'data', mimeType: 'image/png', data: new Uint8Array(png) },
            { type: 'file', mimeType: 'video/mp4', uri: 'https://host/files/abc' },
          ],
        },
      ];
      await run(model, ask('', { contents }));
      expect((await lastCall()).body).toMatchObject({
        contents: [
          {
            parts: [
              { text: 'look' },
              { inlineData: { mimeType: 'image/png', data: png.toString('base64') } },
              { fileData: { mimeType: 'video/mp4', fileUri: 'https://host/files/abc' } },
            ],
          },
        ],
      });
    });

    it('sends an earlier answer back verbatim to the model that gave it, and as plain text to another', async () => {
      const first = await run(model, ask('one', { generation: { includeThoughts: true } }));
      const parts = first.finish?.parts ?? [];
      expect(JSON.stringify(parts)).toContain('thoughtSignature');
      const contents: readonly ModelContent[] = [
        { role: 'user', parts: [{ type: 'text', text: 'one' }] },
        { role: 'model', parts: [{ type: 'text', text: 'plain' }], verbatim: { model: chatModel, parts } },
        { role: 'user', parts: [{ type: 'text', text: 'two' }] },
      ];
      // As memory keeps them: through JSON.
      await run(model, ask('', { contents: JSON.parse(JSON.stringify(contents)) }));
      expect((await lastCall()).contents[1]).toEqual({ role: 'model', parts });
      await run(model, ask('', { contents, model: 'gemini-3.5-flash-lite' }));
      expect((await lastCall()).contents[1]).toEqual({ role: 'model', parts: [{ text: 'plain' }] });
    });

    it('goes where GOOGLE_GEMINI_BASE_URL says, whatever other variables of the SDK say', async () => {
      vi.stubEnv('GOOGLE_GEMINI_BASE_URL', `${emulator.url}/`);
      vi.stubEnv('GOOGLE_GENAI_USE_VERTEXAI', 'true');
      vi.stubEnv('GOOGLE_CLOUD_PROJECT', 'elsewhere');
      expect((await run(new GeminiModel())).end).toBe('stop');
      expect((await lastCall()).key).toBe(apiKey);
    });

    it('uses the API version that it is given', async () => {
      await run(newModel({ apiVersion: 'v1' }));
      expect((await lastCall()).path).toMatch(/^\/v1\//);
    });

    it('refuses a base URL that is none', () => {
      expect(() => new GeminiModel({ baseUrl: 'localhost:9' })).toThrow(ConfigurationError);
    });

    it('leaves no time limit to undici, whose 300 s would cut a longer one short', async () => {
      const key = Symbol.for('undici.globalDispatcher.1');
      const holder = globalThis as unknown as Record<
        symbol,
        { dispatch(options: unknown, handler: unknown): boolean }
      >;
      const dispatcher = holder[key];
      if (!dispatcher) throw new Error('Node has no global dispatcher.');
      const dispatch = vi.spyOn(dispatcher, 'dispatch');
      await run(model);
      expect(dispatch).toHaveBeenCalledWith(
        expect.objectContaining({ headersTimeout: 0, bodyTimeout: 0 }),
        expect.anything(),
      );
      dispatch.mockRestore();
    });
  });

  describe('the answer', () => {
    it('comes with its text, usage, version and parts', async () => {
      emulator.say('Bonjour, tout le monde: voilà 🎉!');
      const { finish, text } = await run(model);
      expect(text).toBe('Bonjour, tout le monde: voilà 🎉!');
      expect(finish).toMatchObject({ finishReason: 'stop', modelVersion: chatModel });
      expect(finish?.usage?.inputTokens).toBeGreaterThan(0);
      expect(finish?.usage?.outputTokens).toBeGreaterThan(0);
    });

    it('keeps thoughts apart from the text', async () => {
      emulator.say('Answer.');
      const { text, thoughts } = await run(model, ask('hi', { generation: { includeThoughts: true } }));
      expect(text).toBe('Answer.');
      expect(thoughts).not.toBe('');
    });

    it.each<FaultName>(['trickle', 'split-utf8', 'crlf', 'wrong-content-type'])(
      'is whole under the fault "%s"',
      async (fault) => {
        emulator.say('Grüße, 世界 🌍!');
        emulator.inject({ fault, delayMs: 0 });
        expect(await run(model)).toMatchObject({ text: 'Grüße, 世界 🌍!', end: 'stop' });
      },
    );

    it('may have a chunk of 10 MB', async () => {
      emulator.inject({ fault: 'big-chunk' });
      const { end, text } = await run(model);
      expect(end).toBe('stop');
      expect(text.length).toBeGreaterThan(9_000_000);
    });

    it.each<[FaultName, string]>([
      ['max-tokens', 'max-tokens'],
      ['unknown-finish', 'unknown'],
    ])('finishes under the fault "%s" as %s', async (fault, end) => {
      emulator.inject({ fault });
      const result = await run(model);
      expect(result.end).toBe(end);
      expect(result.text).not.toBe('');
    });

    it.each(recordedAnswers)(
      'is read from the recorded $name',
      async ({ body, contentType, end, text, thoughts }) => {
        emulator.inject({ reply: { body, contentType } });
        expect(await run(model)).toMatchObject({ end, text, thoughts });
      },
    );
  });

  describe('a fault', () => {
    it.each<[FaultName, Partial<Failure>]>([
      ['bad-key', { kind: 'auth', scope: 'key' }],
      ['leaked-key', { kind: 'auth', scope: 'key' }],
      ['suspended', { kind: 'permission', scope: 'project' }],
      ['service-disabled', { kind: 'permission', scope: 'project' }],
      ['rate-limit', { kind: 'rate-limit', scope: 'pair', retryAfterMs: 30_000, learned: { rpm: 10 } }],
      ['rate-limit-bare', { kind: 'rate-limit', scope: 'pair' }],
      ['daily-quota', { kind: 'daily-quota', scope: 'pair', learned: { rpd: 20 } }],
      ['no-quota', { kind: 'no-quota', scope: 'pair' }],
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
    ])('"%s" is told as what it is, after one single call', async (fault, failure) => {
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
    ])('"%s" is a refusal', async (fault, reason, hasPartial) => {
      emulator.inject({ fault });
      const { error, text } = await run(model);
      if (!BlockedError.isInstance(error)) throw new Error(`Not blocked: ${error}`);
      expect({ reason: error.reason, partial: error.partial }).toEqual({ reason, partial: text });
      expect(text !== '').toBe(hasPartial);
    });

    it.each<FaultName>(['event-error', 'error-in-stream', 'reset-mid-body', 'truncated-json', 'no-finish'])(
      'after the first text, "%s" does not lose that text',
      async (fault) => {
        emulator.say('one two three four five six seven eight');
        emulator.inject({ fault });
        const { failure, text } = await run(model);
        expect(failure).toBeDefined();
        expect(text).toMatch(/^one two/);
      },
    );

    it('shows no key, although the reply echoes it', async () => {
      for (const fault of ['bad-key', 'suspended'] as const) {
        emulator.inject({ fault });
        const { error } = await run(model);
        expect(inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error)).not.toContain(apiKey);
      }
    });

    it('blames the key when it cannot even be put into a header', async () => {
      const stream = model.stream(ask('hello'), { apiKey: 'bad\nkey-123456' });
      const error = await stream.next().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ failure: { kind: 'auth', scope: 'key' } });
      expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('key-123456');
    });

    it('of the network names what happened', async () => {
      const closed = await startGeminiEmulator();
      await closed.close();
      const { failure } = await run(newModel({ baseUrl: closed.url }));
      expect(failure).toMatchObject({ kind: 'network', scope: 'call', reason: 'ECONNREFUSED' });
      expect(failure?.message).toContain('refused');
    });

    it('of a wrong base URL says where to look', async () => {
      const { failure } = await run(newModel({ baseUrl: `${emulator.url}/nothing/here` }));
      expect(failure).toMatchObject({ kind: 'invalid-request', scope: 'call', reason: 'NOT_GEMINI' });
      expect(failure?.message).toContain('GOOGLE_GEMINI_BASE_URL');
    });
  });

  describe('a time limit', () => {
    const patient = { firstTokenMs: 1e9, betweenChunksMs: 1e9, totalMs: 1e9 };

    it.each<[string, string, FaultName, number]>([
      ['FIRST_TOKEN', 'firstTokenMs', 'slow-first-byte', 1],
      ['FIRST_TOKEN', 'firstTokenMs', 'stall', 0],
      ['BETWEEN_CHUNKS', 'betweenChunksMs', 'stall', 1],
      ['TOTAL', 'totalMs', 'slow-first-byte', 1],
      ['TOTAL', 'totalMs', 'stall', 1],
    ])(
      '%s (%s) expires under the fault "%s" and cancels the request',
      async (reason, limit, fault, afterChunks) => {
        const clock = new VirtualClock();
        const patientModel = newModel({ clock, timeouts: { ...patient, [limit]: 40_000 } });
        emulator.inject({ fault, afterChunks, delayMs: 1e9 });
        const before = emulator.journal.length;
        const stream = patientModel.stream(ask('hello'), { apiKey });
        const hasText = fault === 'stall' && afterChunks > 0;
        if (hasText) await stream.next();
        const ended = stream.next().catch((error: unknown) => error);
        await emulator.whenReceived(before + 1);
        await clock.advance(39_999);
        expect(emulator.journal.at(-1)?.aborted).toBe(false);
        await clock.advance(1);
        expect(await ended).toMatchObject({ failure: { kind: 'timeout', scope: 'call', reason } });
        expect((await lastCall()).aborted).toBe(true);
      },
    );

    it('does not change an answer that comes in time', async () => {
      const clock = new VirtualClock();
      expect((await run(newModel({ clock }))).end).toBe('stop');
      expect(clock.pendingTimers).toBe(0);
    });
  });

  describe('leaving early', () => {
    it('cancels the request when the loop is left', async () => {
      emulator.inject({ fault: 'stall' });
      for await (const event of model.stream(ask('hello'), { apiKey })) if (event.type === 'text') break;
      expect((await lastCall()).aborted).toBe(true);
    });

    it.each([
      ['before the headers', 'slow-first-byte'],
      ['in the middle of the answer', 'stall'],
    ] as const)("throws the signal's own reason when aborted %s", async (_, fault) => {
      emulator.inject({ fault });
      const before = emulator.journal.length;
      const caller = new AbortController();
      const reason = new Error('enough');
      const ended = run(model, ask('hello'), caller.signal);
      await emulator.whenReceived(before + 1);
      caller.abort(reason);
      expect((await ended).error).toBe(reason);
      expect((await lastCall()).aborted).toBe(true);
    });

    it('makes no call at all when already aborted', async () => {
      const before = emulator.journal.length;
      const { error } = await run(model, ask('hello'), AbortSignal.abort('too late'));
      expect(error).toBe('too late');
      expect(emulator.journal.length).toBe(before);
    });

    it('leaves no listener on a signal that lives long', async () => {
      const { signal } = new AbortController();
      for (const fault of [undefined, 'overloaded', 'reset-mid-body'] as const) {
        if (fault) emulator.inject({ fault });
        await run(model, ask('hello'), signal);
      }
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    });
  });

  it('serves many calls with many keys at once', async () => {
    const calls = Array.from({ length: 40 }, async (_, index) => {
      let text = '';
      for await (const event of model.stream(ask(`question ${index}`), { apiKey: `key-${index % 7}` }))
        if (event.type === 'text') text += event.text;
      return text.includes(`question ${index}`);
    });
    expect(new Set(await Promise.all(calls))).toEqual(new Set([true]));
  });
});

describe('GeminiModel against any server', () => {
  /** Serves one reply in the pieces given, each in a packet of its own. */
  async function serve(pieces: readonly Uint8Array[], status = 200, headers: Record<string, string> = {}) {
    const server = createServer(async (_, response) => {
      response.writeHead(status, headers);
      for (const piece of pieces) {
        response.write(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return {
      url,
      close: () =>
        new Promise((resolve) => {
          server.close(resolve);
          server.closeAllConnections();
        }),
    };
  }

  it.each(recordedAnswers)(
    'reads the recorded $name byte by byte from the socket',
    async ({ body, contentType, end, text, thoughts }) => {
      const whole = wireBytes(body);
      const pieces = Array.from(whole, (_, index) => whole.subarray(index, index + 1));
      const server = await serve(pieces, 200, { 'Content-Type': contentType });
      expect(await run(new GeminiModel({ baseUrl: server.url }))).toMatchObject({ end, text, thoughts });
      await server.close();
    },
  );

  it('does not carry the key along a redirect', async () => {
    const server = await serve([], 307, { Location: 'http://127.0.0.1:9/elsewhere' });
    const { failure } = await run(new GeminiModel({ baseUrl: server.url }));
    expect(failure).toMatchObject({ kind: 'invalid-request', status: 307, reason: 'NOT_GEMINI' });
    await server.close();
  });

  it('reads no more than it needs of an endless error page', async () => {
    const page = new Uint8Array(1024 * 1024).fill(60);
    const server = await serve(
      Array.from({ length: 50 }, () => page),
      500,
    );
    expect((await run(new GeminiModel({ baseUrl: server.url }))).failure).toMatchObject({
      kind: 'internal',
      status: 500,
    });
    await server.close();
  });
});
