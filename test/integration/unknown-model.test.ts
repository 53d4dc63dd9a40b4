import { MultimodalChat, type MultimodalChatOptions } from 'multimodal-chat';
import { type GeminiEmulator, startGeminiEmulator } from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

let emulator: GeminiEmulator;
beforeEach(async () => {
  vi.stubEnv('GEMINI_MODEL', '');
  emulator = await startGeminiEmulator();
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await emulator.close();
});

const openChat = (options: MultimodalChatOptions) =>
  new MultimodalChat({ keys: ['a-key-long-enough'], baseUrl: emulator.url, memory: false, ...options });

describe('a model that does not exist', () => {
  it.each([
    ['an option', 'gemini-3.8-flsh', undefined, {}],
    ['GEMINI_MODEL', undefined, 'gemini-3.8-flsh', {}],
    ['a call', undefined, undefined, { model: 'gemini-3.8-flsh' }],
  ])('is reported, and no other model answers for it: named by %s', async (_, model, env, request) => {
    vi.stubEnv('GEMINI_MODEL', env ?? '');
    await using chat = openChat({ model });
    const ask = () => chat.send({ prompt: 'Hi', ...request });
    await expect(ask()).rejects.toMatchObject({
      code: 'MODEL_MODEL_UNAVAILABLE',
      message: expect.stringContaining('gemini-3.8-flsh'),
    });
    // The key pool has paused the model by now.
    await expect(ask()).rejects.toThrow(/gemini-3\.8-flsh.*does not exist/);
    expect(emulator.journal).toHaveLength(1);
    expect((await chat.send({ prompt: 'Hi', model: 'gemini-3.8-flash' })).model).toBe('gemini-3.8-flash');
  });

  it('is replaced by a fallback that the app named, with one warning', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    await using chat = openChat({ model: 'gpt-5', fallbackModels: ['gemini-3.8-flash'] });
    for (let call = 0; call < 2; call += 1) {
      expect((await chat.send({ prompt: 'Hi' })).model).toBe('gemini-3.8-flash');
    }
    expect(warn.mock.calls).toEqual([
      [
        expect.stringMatching(/^gemini-3\.8-flash answers in place of gpt-5\./),
        { code: 'MULTIMODAL_CHAT_MODEL' },
      ],
    ]);
  });

  it('is replaced if it is the default, which nobody misspelled', async () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    await using chat = openChat({});
    emulator.inject({ fault: 'model-not-found', times: 1 });
    expect((await chat.send({ prompt: 'Hi' })).model).toBe('gemini-3.5-flash-lite');
  });
});
