import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ask, chatModel, run } from '../../../test/support/model-calls.js';
import { recordedAnswers } from '../../../test/support/recorded-answers.js';
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

  it('returns the text, usage, version and parts', async () => {
    emulator.say('Bonjour, tout le monde: voilà 🎉!');
    const { finish, text } = await run(model);
    expect(text).toBe('Bonjour, tout le monde: voilà 🎉!');
    expect(finish).toMatchObject({ finishReason: 'stop', info: { modelVersion: chatModel } });
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
    'reads the whole answer under the fault "%s"',
    async (fault) => {
      emulator.say('Grüße, 世界 🌍!');
      emulator.inject({ fault, delayMs: 0 });
      expect(await run(model)).toMatchObject({ text: 'Grüße, 世界 🌍!', end: 'stop' });
    },
  );

  it('reads a chunk of 10 MB', async () => {
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

  it.each(recordedAnswers)('reads the recorded $name', async ({ body, contentType, end, text, thoughts }) => {
    emulator.inject({ reply: { body, contentType } });
    expect(await run(model)).toMatchObject({ end, text, thoughts });
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
