import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { apiKey, ask, lastCallTo, run } from '../../../test/support/model-calls.js';
import { type FaultName, type GeminiEmulator, startGeminiEmulator, VirtualClock } from '../../testing.js';
import { GeminiModel } from './gemini-model.js';
import type { GeminiModelOptions } from './gemini-model-options.js';

describe('GeminiModel', () => {
  let emulator: GeminiEmulator;
  const newModel = (options: GeminiModelOptions = {}) =>
    new GeminiModel({ baseUrl: emulator.url, ...options });
  const lastCall = () => lastCallTo(emulator);

  beforeAll(async () => {
    emulator = await startGeminiEmulator();
  });
  afterEach(() => emulator.clearFaults());
  afterAll(() => emulator.close());

  const patient = { firstTokenMs: 1e9, betweenChunksMs: 1e9, totalMs: 1e9 };

  it.each<[string, string, FaultName, number]>([
    ['FIRST_TOKEN', 'firstTokenMs', 'slow-first-byte', 1],
    ['FIRST_TOKEN', 'firstTokenMs', 'stall', 0],
    ['BETWEEN_CHUNKS', 'betweenChunksMs', 'stall', 1],
    ['TOTAL', 'totalMs', 'slow-first-byte', 1],
    ['TOTAL', 'totalMs', 'stall', 1],
  ])(
    'throws %s after %s under the fault "%s" and cancels the request',
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
