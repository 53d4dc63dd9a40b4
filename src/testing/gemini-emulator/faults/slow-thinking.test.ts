import { afterEach, describe, expect, it, vi } from 'vitest';
import { createStarter, model } from '../../../../test/support/emulated-gemini.js';
import { promptOf, textOf } from '../../../../test/support/gemini-wire.js';
import { VirtualClock } from '../../virtual-clock.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

describe('the fault slow-thinking', () => {
  it.each([0, 2])('is silent for minutes of the clock after %i chunks, then goes on', async (afterChunks) => {
    const clock = new VirtualClock();
    const { emulator } = await start({ clock });
    emulator.say('One two three four five six.');
    emulator.inject({ fault: 'slow-thinking', delayMs: 157_000, afterChunks });
    const response = await fetch(`${emulator.url}/v1beta/models/${model}:streamGenerateContent?alt=sse`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'a-key' },
      body: JSON.stringify(promptOf('Hello')),
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const read = async () => Buffer.from((await reader.read()).value ?? []).toString();
    let text = '';
    while (text.split('data: ').length - 1 < afterChunks) text += await read();
    let isSilent = true;
    const next = read().then((piece) => {
      expect(isSilent).toBe(false);
      return piece;
    });
    await vi.waitUntil(() => clock.pendingTimers === 1);
    await clock.advance(156_999);
    isSilent = false;
    await clock.advance(1);
    text += await next;
    for (let piece = await read(); piece !== ''; piece = await read()) text += piece;
    expect(textOf({ status: 200, contentType: '', text, pieces: 0, error: undefined })).toBe(
      'One two three four five six.',
    );
  });
});
