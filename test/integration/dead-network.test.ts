import { inspect } from 'node:util';
import {
  BackoffRetryPolicy,
  ModelCallError,
  MultimodalChat,
  type MultimodalChatOptions,
} from 'multimodal-chat';
import { VirtualClock } from 'multimodal-chat/testing';
import { beforeAll, describe, expect, it } from 'vitest';

const keys = ['the-first-key-0001', 'the-second-key-0002', 'the-third-key-0003'];

/** Fails every request as Node's `fetch` does, after `afterMs`. */
function deadNetwork(clock: VirtualClock, code: string, afterMs: number) {
  let calls = 0;
  const fetch = async (): Promise<Response> => {
    calls += 1;
    await new Promise<void>((resolve) => clock.setTimeout(resolve, afterMs));
    throw new TypeError('fetch failed', { cause: Object.assign(new Error(`connect ${code}`), { code }) });
  };
  return { fetch, calls: () => calls };
}

async function ask(options: MultimodalChatOptions, clock: VirtualClock): Promise<[unknown, number]> {
  const chat = new MultimodalChat({ memory: false, clock, baseUrl: 'https://gemini.example', ...options });
  const startedAt = clock.now();
  const error = await clock.runUntil(
    chat.send({ prompt: 'Hi' }).then(
      () => undefined,
      (reason: unknown) => reason,
    ),
  );
  const elapsedMs = clock.now() - startedAt;
  await clock.runUntil(chat.close());
  return [error, elapsedMs];
}

// Loading it takes real time, in which the clock of a test would stand still.
beforeAll(() => import('@google/genai'));

describe('a network that is dead', () => {
  it.each([
    ['ENOTFOUND', 20, {}],
    ['ECONNREFUSED', 1, {}],
    ['EAI_AGAIN', 2_000, {}],
    ['ENOTFOUND', 20, { keys: keys.map((key, at) => ({ key, project: `p${at}` })) }],
    ['ECONNREFUSED', 1, { hedge: { afterMs: 5 } }],
    ['ENOTFOUND', 20, { fallbackModels: [] }],
  ] as const)('is reported within ten seconds: %s after %i ms, with %j', async (code, afterMs, options) => {
    const clock = new VirtualClock();
    const network = deadNetwork(clock, code, afterMs);
    const [error, elapsedMs] = await ask({ keys, fetch: network.fetch, ...options }, clock);
    expect(error).toBeInstanceOf(ModelCallError);
    expect(error).toMatchObject({ code: 'MODEL_NETWORK', failure: { reason: code } });
    expect(elapsedMs).toBeLessThanOrEqual(10_000 + afterMs);
    expect(network.calls()).toBeLessThan(40);
    expect(inspect(error).split('\n').length).toBeLessThan(25);
  });

  it('is reported within ten seconds, however long the pool holds a retry back', async () => {
    const elapsed = await Promise.all(
      Array.from({ length: 100 }, async (_, at) => {
        const clock = new VirtualClock();
        const { fetch } = deadNetwork(clock, 'ENOTFOUND', 20);
        const retry = new BackoffRetryPolicy({ random: () => at / 100 });
        return (await ask({ keys, fetch, retry }, clock))[1];
      }),
    );
    expect(Math.max(...elapsed)).toBeLessThanOrEqual(10_000 + 20);
  });
});
