import { BackoffRetryPolicy, MultimodalChat } from 'multimodal-chat';
import { afterEach, describe, expect, it } from 'vitest';
import { createStarter, model } from '../../../../test/support/emulated-gemini.js';
import { VirtualClock } from '../../virtual-clock.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

/** The code of what the real client threw; `answered` when it threw nothing. */
const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'answered',
    (error: { cause?: { code?: unknown } }) => error.cause?.code,
  );

describe('the fault refuse', () => {
  it('closes the port for its duration, also to connected clients', async () => {
    const clock = new VirtualClock();
    const { emulator, ai } = await start({ clock });
    const ask = () => codeOf(ai.models.generateContent({ model, contents: 'x' }));
    expect(await ask()).toBe('answered');
    emulator.inject({ fault: 'refuse', delayMs: 5000 });
    expect([await ask(), await ask()]).toEqual(['ECONNREFUSED', 'ECONNREFUSED']);
    await clock.advance(4999);
    expect(await ask()).toBe('ECONNREFUSED');
    await clock.advance(1);
    await emulator.clearFaults();
    expect(await ask()).toBe('answered');
    emulator.expectCalls({}, 2);
  });

  it('finishes calls that are being answered, then closes their connections', async () => {
    const clock = new VirtualClock();
    const { emulator, ai } = await start({ clock, firstChunkDelayMs: 1000 });
    const running = ai.models.generateContent({ model, contents: 'x' });
    await emulator.whenReceived(1);
    emulator.inject({ fault: 'refuse', delayMs: 60_000 });
    await clock.advance(1000);
    expect((await running).text).toBeTruthy();
    expect(await codeOf(ai.models.generateContent({ model, contents: 'x' }))).toBe('ECONNREFUSED');
  });

  it('ends early with clearFaults, and keeps the longer of two durations', async () => {
    const clock = new VirtualClock();
    const { emulator, ai } = await start({ clock });
    const ask = () => codeOf(ai.models.generateContent({ model, contents: 'x' }));
    emulator.inject({ fault: 'refuse', delayMs: 5000 });
    emulator.inject({ fault: 'refuse', delayMs: 10 });
    await clock.advance(100);
    expect(await ask()).toBe('ECONNREFUSED');
    await emulator.clearFaults();
    expect(await ask()).toBe('answered');
  });

  it('resets the call that it randomly begins with', async () => {
    const { emulator, ai } = await start({ clock: new VirtualClock(), chaos: { rates: { refuse: 1 } } });
    const ask = () => codeOf(ai.models.generateContent({ model, contents: 'x' }));
    expect(await ask()).toBe('ECONNRESET');
    expect(await ask()).toBe('ECONNREFUSED');
    await emulator.whenIdle();
    emulator.expectCalls({ fault: 'refuse', status: 0, aborted: false }, 1);
  });

  it('allows closing the emulator meanwhile', async () => {
    const { emulator } = await start();
    emulator.inject({ fault: 'refuse', delayMs: 60_000 });
    await emulator.close();
    await expect(fetch(emulator.url)).rejects.toThrow();
  });

  it('is survived by a chat', async () => {
    const clock = new VirtualClock();
    const { emulator } = await start({ clock });
    emulator.say('Here again.');
    emulator.inject({ fault: 'refuse', delayMs: 20_000 });
    await using chat = new MultimodalChat({
      keys: ['one-key-000001', 'two-key-000002'],
      baseUrl: emulator.url,
      memory: false,
      retry: new BackoffRetryPolicy({ maxAttempts: 1000, baseDelayMs: 1, maxDelayMs: 5 }),
    });
    const reasons = new Set<string | undefined>();
    chat.on('retry', ({ failure }) => {
      reasons.add(failure.reason);
      void clock.advance(5000);
    });
    const reply = await chat.send({ prompt: 'Are you there?' });
    expect(reply.text).toBe('Here again.');
    expect(reply.attempts.length).toBeGreaterThan(4);
    expect(reasons).toEqual(new Set(['ECONNREFUSED']));
    // Nothing was sent, so nothing was used up.
    const { keys } = (await chat.stats()).keys;
    expect(keys.reduce((sum, key) => sum + key.usageCount, 0)).toBe(1);
    emulator.expectCalls({ operation: 'generate' }, 1);
  });
});
