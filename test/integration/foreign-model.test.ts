import { type ChatModel, GeminiModel, MultimodalChat } from 'multimodal-chat';
import {
  FakeChatModel,
  FakeEmbedder,
  type GeminiEmulator,
  InMemoryStore,
  makeFailure,
  startGeminiEmulator,
} from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const secret = 'AIza-secret-of-google';

let emulator: GeminiEmulator;

beforeEach(async () => {
  emulator = await startGeminiEmulator();
  vi.stubEnv('GEMINI_API_KEY', secret);
  vi.stubEnv('GEMINI_MODEL', 'gemini-3.5-flash');
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await emulator.close();
});

/** Records everything that a model is called with. */
function recording(model: FakeChatModel): { readonly model: ChatModel; readonly seen: unknown[] } {
  const seen: unknown[] = [];
  const stream = model.stream.bind(model);
  model.stream = (request, options) => {
    const { signal: _, ...rest } = options ?? {};
    seen.push({ request, ...rest });
    return stream(request, options);
  };
  return { model, seen };
}

describe('a model of another provider', () => {
  it('sees neither the Gemini key nor a Gemini name, whatever else is configured', async () => {
    const overloaded = { failure: makeFailure('overloaded') };
    const { model, seen } = recording(
      new FakeChatModel([overloaded, overloaded, 'One', 'Two', 'A summary.'], {
        provider: 'acme',
        model: 'acme-1',
      }),
    );
    const embedder = new FakeEmbedder();
    await using chat = new MultimodalChat({
      model,
      fallbackModels: ['acme-2'],
      retry: { baseDelayMs: 1, maxDelayMs: 2 },
      memory: ':memory:',
      embedder,
      context: { recentTokens: 1, summary: { everyTokens: 1 } },
      providerOptions: { acme: { tier: 'fast' }, google: { safetySettings: [] } },
    });
    for (const prompt of ['One', 'Two', 'Three']) await chat.send({ sessionId: 's', prompt });
    await expect.poll(async () => (await chat.stats()).summaries?.made).toBeGreaterThan(0);
    const names = seen.map((call) => (call as { request: { model: string } }).request.model);
    expect(new Set(names)).toEqual(new Set(['acme-1', 'acme-2']));
    expect(JSON.stringify(seen)).not.toMatch(/AIza|gemini|"apiKey"/);
    expect((await chat.stats()).keys.keys).toEqual([]);
  });

  it('needs no key in the environment', async () => {
    vi.stubEnv('GEMINI_API_KEY', '');
    await using chat = new MultimodalChat({ model: new FakeChatModel(['Hello!']), memory: false });
    const { attempts, text } = await chat.send({ prompt: 'Hi' });
    expect(text).toBe('Hello!');
    expect(attempts[0]?.keyId).toBeUndefined();
  });

  it('backs off from a rate limit, since no pool does so for it', async () => {
    const refused = { failure: { ...makeFailure('rate-limit'), retryAfterMs: 1 } };
    const model = new FakeChatModel([refused, refused, 'At last.']);
    await using chat = new MultimodalChat({ model, memory: false, retry: { baseDelayMs: 1, maxDelayMs: 2 } });
    expect((await chat.send({ prompt: 'Hi' })).text).toBe('At last.');
    const hopeless = new FakeChatModel(Array.from({ length: 50 }, () => refused));
    await using other = new MultimodalChat({
      model: hopeless,
      memory: false,
      retry: { maxAttempts: 3, baseDelayMs: 1, maxDelayMs: 2 },
    });
    await other.send({ prompt: 'Hi' }).catch(() => undefined);
    expect(hopeless.calls).toHaveLength(3);
  });

  it('can be what Gemini falls back on, and the other way round', async () => {
    const acme = () => new FakeChatModel(['From acme.'], { provider: 'acme', model: 'acme-1' });
    const options = { memory: false, retry: { baseDelayMs: 1, maxDelayMs: 2 } } as const;
    emulator.inject({ fault: 'overloaded', times: 2 });
    await using gemini = new MultimodalChat({ ...options, baseUrl: emulator.url, fallbackModels: [acme()] });
    const fromAcme = await gemini.send({ prompt: 'Hi' });
    expect(fromAcme).toMatchObject({ text: 'From acme.', model: 'acme-1' });
    expect(fromAcme.attempts.map(({ keyId }) => keyId !== undefined)).toEqual([true, true, false]);

    const gone = new FakeChatModel([{ failure: makeFailure('model-unavailable') }], { provider: 'acme' });
    const google = new GeminiModel({ baseUrl: emulator.url });
    await using foreign = new MultimodalChat({ ...options, model: gone, fallbackModels: [google] });
    const fromGemini = await foreign.send({ prompt: 'Hi' });
    expect(fromGemini.model).toBe('gemini-3.5-flash');
    expect(gone.calls).toHaveLength(1);
    expect(gone.calls[0]?.apiKey).toBeUndefined();
    await google.close();
  });

  it('is told in words what it does not take', async () => {
    const model = new FakeChatModel(['Fine.'], { media: { inline: ['image/jpeg'] } });
    await using chat = new MultimodalChat({ model, memory: false });
    const data = new TextEncoder().encode('The code is 4711.');
    await chat.send({ prompt: 'Hi', media: [{ data, name: 'code.txt', mimeType: 'text/plain' }] });
    const parts = model.calls[0]?.request.messages.at(-1)?.parts ?? [];
    expect(parts.every(({ type }) => type === 'text')).toBe(true);
    expect(JSON.stringify(parts)).toContain('The code is 4711.');
  });

  it('gets the record of a conversation without the metadata of another provider’s model', async () => {
    const memory = new InMemoryStore();
    await using gemini = new MultimodalChat({ baseUrl: emulator.url, memory, mediaArchive: false });
    await gemini.send({ sessionId: 's', prompt: 'One', generation: { includeThoughts: true } });
    const [turn] = await gemini.history({ sessionId: 's' });
    expect(JSON.stringify(turn?.messages)).toContain('thoughtSignature');
    const model = new FakeChatModel(['Two'], { provider: 'acme' });
    await using foreign = new MultimodalChat({ model, memory, mediaArchive: false });
    await foreign.send({ sessionId: 's', prompt: 'And?' });
    const messages = model.calls[0]?.request.messages ?? [];
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(JSON.stringify(messages)).not.toContain('thoughtSignature');
  });
});
