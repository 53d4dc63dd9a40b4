import { getEventListeners } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { apiKey, ask, lastCallTo, run } from '../../../test/support/model-calls.js';
import { type GeminiEmulator, startGeminiEmulator } from '../../testing.js';
import { GeminiModel, type GeminiModelOptions } from './gemini-model.js';

describe('GeminiModel: leaving early', () => {
  let emulator: GeminiEmulator;
  let model: GeminiModel;
  const newModel = (options: GeminiModelOptions = {}) =>
    new GeminiModel({ baseUrl: emulator.url, ...options });
  const lastCall = () => lastCallTo(emulator);

  beforeAll(async () => {
    emulator = await startGeminiEmulator();
  });
  beforeEach(() => {
    model = newModel();
  });
  afterEach(() => emulator.clearFaults());
  afterAll(() => emulator.close());

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
