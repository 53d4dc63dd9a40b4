import { afterEach, describe, expect, it } from 'vitest';
import { createStarter, model } from '../../../../test/support/emulated-gemini.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

describe('the fault stall', () => {
  it.each([0, 1, 2])('is silent after %i chunks until the client hangs up', async (afterChunks) => {
    const { emulator } = await start();
    emulator.say('One two three four five six.');
    emulator.inject({ fault: 'stall', afterChunks });
    const controller = new AbortController();
    const response = await fetch(`${emulator.url}/v1beta/models/${model}:streamGenerateContent?alt=sse`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'a-key' },
      body: JSON.stringify({ contents: [{ parts: [{ text: 'Hello' }] }] }),
      signal: controller.signal,
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    while (text.split('data: ').length - 1 < afterChunks)
      text += Buffer.from((await reader.read()).value ?? []).toString();
    const next = reader.read();
    controller.abort();
    await expect(next).rejects.toThrow();
    await emulator.whenIdle();
    expect(emulator.journal.at(-1)).toMatchObject({ fault: 'stall', aborted: true, status: 200 });
  });
});
