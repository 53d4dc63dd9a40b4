import { afterEach, describe, expect, it } from 'vitest';
import { ask, run } from '../../../test/support/model-calls.js';
import {
  event,
  type RawServer,
  startRawServer,
  textChunk,
  writePieces,
} from '../../../test/support/raw-replies.js';
import { VirtualClock } from '../../testing.js';
import type { ModelRequest } from '../chat-model.js';
import { GeminiModel } from './gemini-model.js';
import type { GeminiModelOptions } from './gemini-model-options.js';

const end = event(textChunk('Done.', 'STOP'));
const part = (fields: object) => event({ candidates: [{ content: { parts: [fields] } }] });

describe('GeminiModel, while the model is silent', () => {
  let server: RawServer;
  afterEach(() => server[Symbol.asyncDispose]());

  /** Sends `first`, and after a silence of `silentMs` of virtual time the end of the answer. */
  async function runWith(
    first: string,
    silentMs: number,
    more: Partial<ModelRequest> = {},
    options: GeminiModelOptions = {},
  ) {
    const clock = new VirtualClock();
    server = await startRawServer(async (response) => {
      await writePieces(response, first);
      // After the bytes have arrived.
      setTimeout(() => {
        void clock.advance(silentMs).then(() => writePieces(response, end).then(() => response.end()));
      }, 50);
    });
    return run(new GeminiModel({ baseUrl: server.url, clock, ...options }), ask('hello', more));
  }

  it.each([
    ['110 s', 110_000, {}],
    ['157 s', 157_000, {}],
    ['200 s at the level high', 200_000, { generation: { thinkingLevel: 'high' } }],
    [
      '290 s at the level xhigh',
      290_000,
      { model: 'gemini-4-hydrogen', generation: { thinkingLevel: 'xhigh' } },
    ],
    [
      '200 s at a level in provider options',
      200_000,
      { providerOptions: { google: { thinkingConfig: { thinkingLevel: 'HIGH' } } } },
    ],
  ] as const)('waits for an answer that begins after %s, with default options', async (_, ms, more) => {
    expect(await runWith(': waiting\n\n', ms, more)).toMatchObject({ text: 'Done.', end: 'stop' });
  });

  it.each([
    ['text', event(textChunk('Well, '))],
    ['a thought', part({ text: 'hm', thought: true })],
    ['code', part({ executableCode: { language: 'PYTHON', code: '1' } })],
    ['a call', part({ functionCall: { name: 'look' } })],
    ['a picture', part({ inlineData: { mimeType: 'image/png', data: 'AAAA' } })],
    ['half a picture', part({ inlineData: { mimeType: 'image/png', data: 'AAAA' } }).slice(0, 40)],
    ['counts', event({ usageMetadata: { promptTokenCount: 3 } })],
    ['bytes that are not framed', '[{"candidates": [{"content": '],
  ])('takes as progress: %s', async (_, first) => {
    const { failure } = await runWith(
      first,
      70_000,
      {},
      {
        timeouts: { firstTokenMs: 60_000, betweenChunksMs: 50_000 },
      },
    );
    expect(failure?.reason).toBe('BETWEEN_CHUNKS');
  });

  it.each([
    ['keep-alive comments', ': ping\n\n: ping\n\n'],
    ['nothing', ''],
  ])('does not take as progress: %s', async (_, first) => {
    const { failure } = await runWith(
      first,
      70_000,
      {},
      {
        timeouts: { firstTokenMs: 60_000, betweenChunksMs: 50_000 },
      },
    );
    expect(failure).toMatchObject({ kind: 'timeout', reason: 'FIRST_TOKEN' });
    expect(failure?.message).toContain('timeouts.firstTokenMs');
    expect(failure?.message).toContain('60000');
  });

  it('waits as long in the middle of an answer', async () => {
    expect(await runWith(event(textChunk('Well. ')), 157_000)).toMatchObject({
      text: 'Well. Done.',
      end: 'stop',
    });
  });

  it('gives up sooner on a model that does not think', async () => {
    const { failure } = await runWith('', 100_000, {
      model: 'gemini-3.5-flash-lite',
      generation: { thinkingLevel: 'minimal' },
    });
    expect(failure?.reason).toBe('FIRST_TOKEN');
  });

  it('never waits longer than the call may take', async () => {
    const { failure } = await runWith('', 100_000, {}, { timeouts: { totalMs: 90_000 } });
    expect(failure).toMatchObject({ reason: 'TOTAL' });
    expect(failure?.message).toContain('timeouts.callMs');
  });
});
