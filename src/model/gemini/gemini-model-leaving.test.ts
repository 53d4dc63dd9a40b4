import { getEventListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { apiKey, ask, lastCallTo, run } from '../../../test/support/model-calls.js';
import { ClosedError } from '../../core/errors.js';
import { type GeminiEmulator, startGeminiEmulator } from '../../testing.js';
import { GeminiModel } from './gemini-model.js';
import type { GeminiModelOptions } from './gemini-model-options.js';

describe('GeminiModel', () => {
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

  it('cancels the request when the loop is left early', async () => {
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

  it('makes no call if the signal is already aborted', async () => {
    const before = emulator.journal.length;
    const { error } = await run(model, ask('hello'), AbortSignal.abort('too late'));
    expect(error).toBe('too late');
    expect(emulator.journal.length).toBe(before);
  });

  it('throws ClosedError from calls in progress and after close', async () => {
    emulator.inject({ fault: 'stall' });
    const stream = model.stream(ask('hello'), { apiKey });
    await stream.next();
    const ended = stream.next().catch((thrown: unknown) => thrown);
    await model.close();
    expect(await ended).toMatchObject({ name: 'ClosedError', message: expect.stringContaining('model') });
    expect((await lastCall()).aborted).toBe(true);
    const calls = emulator.journal.length;
    expect((await run(model)).error).toBeInstanceOf(ClosedError);
    expect(emulator.journal.length).toBe(calls);
  });

  it('throws ClosedError from an upload in progress', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'leaving-test-')), 'clip.mp4');
    await writeFile(path, Buffer.alloc(1_000));
    const clip = { type: 'upload', mimeType: 'video/mp4', fingerprint: 'f', name: 'clip.mp4', path } as const;
    const before = emulator.journal.length;
    const ended = run(model, ask('', { messages: [{ role: 'user', parts: [clip] }] }));
    await emulator.whenReceived(before + 1);
    await model.close();
    expect((await ended).error).toBeInstanceOf(ClosedError);
    await rm(dirname(path), { recursive: true });
  });

  it('leaves no listener on a long-lived signal', async () => {
    const { signal } = new AbortController();
    for (const fault of [undefined, 'overloaded', 'reset-mid-body'] as const) {
      if (fault) emulator.inject({ fault });
      await run(model, ask('hello'), signal);
    }
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});
