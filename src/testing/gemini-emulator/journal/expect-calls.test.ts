import { AssertionError } from 'node:assert';
import { ConfigurationError } from 'multimodal-chat';
import { afterEach, describe, expect, it } from 'vitest';
import { createStarter, model, statusOf, twoProjects } from '../../../../test/support/emulated-gemini.js';
import type { GeminiEmulator } from '../gemini-emulator.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

/** One answer for alpha, one 503 and one answer for beta, one list of models with its key in the URL. */
async function emulatorWithCalls(): Promise<GeminiEmulator> {
  const { emulator, client } = await start(twoProjects);
  emulator.inject({ fault: 'overloaded', key: 'key-b' });
  for (const key of ['key-a1', 'key-b', 'key-b'])
    await statusOf(client(key).models.generateContent({ model, contents: `from ${key}` }));
  await fetch(`${emulator.url}/v1/models?key=key-a2`);
  await emulator.whenIdle();
  return emulator;
}

function messageOf(assertion: () => unknown): string {
  try {
    assertion();
  } catch (error) {
    if (error instanceof AssertionError) return error.message;
    throw error;
  }
  throw new Error('The assertion held.');
}

describe('expectCalls', () => {
  it('returns the calls that match the whole filter, oldest first', async () => {
    const emulator = await emulatorWithCalls();
    expect(emulator.expectCalls({}, 4)).toEqual(emulator.journal);
    expect(emulator.expectCalls().length).toBe(4);
    const ofBeta = emulator.expectCalls({ project: 'beta', model }, 2);
    expect(ofBeta.map(({ status }) => status)).toEqual([503, 200]);
    expect(emulator.expectCalls({ key: 'key-b', fault: 'overloaded' }, 1)).toEqual([ofBeta[0]]);
    expect(emulator.expectCalls({ keyInUrl: true }, 1)).toMatchObject([{ operation: 'models' }]);
    expect(emulator.expectCalls({ where: ({ texts }) => texts.includes('from key-a1') }, 1)).toHaveLength(1);
  });

  it('accepts an inclusive range', async () => {
    const emulator = await emulatorWithCalls();
    emulator.expectCalls({ operation: 'generate' }, { min: 3, max: 3 });
    emulator.expectCalls({ status: 418 }, { max: 0 });
    expect(messageOf(() => emulator.expectCalls({ status: 200 }, { max: 2 }))).toMatch(
      /^Expected at most 2 calls with status 200, but there were 3\.\n/,
    );
    expect(messageOf(() => emulator.expectCalls({ status: 200 }, { min: 4 }))).toMatch(
      /^Expected at least 4 calls/,
    );
  });

  it('prints the journal on failure, and marks the matches', async () => {
    const emulator = await emulatorWithCalls();
    const message = messageOf(() => emulator.expectCalls({ project: 'beta', status: 503 }, 2));
    expect(message.replace(/\d+ ms/g, '5 ms')).toBe(
      [
        'Expected 2 calls with project "beta", status 503, but there was 1.',
        'The journal (> marks the calls that match):',
        `  1. POST /v1beta/models/${model}:generateContent (key key-a1, project alpha) -> 200 after 5 ms`,
        `> 2. POST /v1beta/models/${model}:generateContent (key key-b, project beta) -> 503 after 5 ms, fault overloaded`,
        `  3. POST /v1beta/models/${model}:generateContent (key key-b, project beta) -> 200 after 5 ms`,
        '  4. GET /v1/models (key key-a2 in the URL, project alpha) -> 200 after 5 ms',
      ].join('\n'),
    );
  });

  it('reports an empty journal, and omits the beginning of a long one', async () => {
    const { emulator } = await start();
    expect(messageOf(() => emulator.expectCalls())).toBe(
      'Expected at least 1 call, but there were none.\nThe journal is empty.',
    );
    for (let call = 0; call < 45; call++)
      await fetch(`${emulator.url}/v1/models`, { headers: { 'x-goog-api-key': 'k' } });
    const lines = messageOf(() => emulator.expectCalls({}, 0)).split('\n');
    expect(lines[0]).toBe('Expected no call, but there were 45.');
    expect(lines[2]).toBe('  (5 earlier calls are left out)');
    expect(lines).toHaveLength(3 + 40);
  });

  it('shows calls that are being answered, or whose client hung up', async () => {
    const { emulator, ai } = await start({ firstChunkDelayMs: 60_000 });
    const controller = new AbortController();
    const call = statusOf(
      ai.models.generateContent({ model, contents: 'x', config: { abortSignal: controller.signal } }),
    );
    await emulator.whenReceived(1);
    expect(messageOf(() => emulator.expectCalls({}, 0))).toContain('is still being answered');
    controller.abort();
    await call;
    await emulator.whenIdle();
    expect(messageOf(() => emulator.expectCalls({}, 0))).toContain('no status after');
    emulator.expectCalls({ aborted: true }, 1);
  });

  it('masks keys that could be real ones', async () => {
    const { emulator } = await start();
    const key = 'AIzaSyReal-looking-0123456789w2Do';
    await fetch(`${emulator.url}/v1/models?key=${key}`);
    const message = messageOf(() => emulator.expectCalls({ key }, 2));
    expect(message).toContain('key "...w2Do"');
    expect(message).not.toContain('Real-looking');
  });

  it('needs a journal', async () => {
    const { emulator } = await start({ journal: false });
    expect(() => emulator.expectCalls({}, 0)).toThrow(ConfigurationError);
  });
});
