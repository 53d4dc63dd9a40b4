import { afterEach, describe, expect, it } from 'vitest';
import { apiKey, ask, run } from '../../../test/support/model-calls.js';
import {
  event,
  type RawServer,
  startRawServer,
  textChunk,
  writePieces,
} from '../../../test/support/raw-replies.js';
import { VirtualClock } from '../../testing.js';
import { GeminiModel } from './gemini-model.js';

const counts = { usageMetadata: { promptTokenCount: 4, candidatesTokenCount: 2, totalTokenCount: 6 } };
const usage = { inputTokens: 4, outputTokens: 2, totalTokens: 6 };
const whole = [event(textChunk('One ')), event(textChunk('two.', 'STOP', counts))];

describe('GeminiModel at the end of an answer', () => {
  let server: RawServer;
  afterEach(() => server[Symbol.asyncDispose]());

  /** Serves the pieces, then resets the connection, closes it, or leaves it open. */
  async function serve(pieces: readonly string[], end: 'reset' | 'close' | 'open') {
    server = await startRawServer(async (response) => {
      await writePieces(response, ...pieces);
      if (end === 'reset') response.socket?.resetAndDestroy();
      if (end === 'close') response.end();
    });
    return new GeminiModel({ baseUrl: server.url });
  }

  it.each([
    ['a reset after the finish chunk', whole, 'reset'],
    ['a close without counts', [event(textChunk('One two.', 'STOP'))], 'close'],
    ['an end mark and an open connection', [...whole, 'data: [DONE]\n\n'], 'open'],
    ['an error event', [...whole, 'event: error\ndata: {"error":{"code":503}}\n\n'], 'close'],
    ['an error event and a reset', [...whole, 'event: error\ndata: {"error":{"code":503}}\n\n'], 'reset'],
    ['rubbish and a reset', [...whole, 'rubbish {"candidates": [{'], 'reset'],
    ['a list that has no end', [`[${JSON.stringify(textChunk('One two.', 'STOP'))}`], 'reset'],
  ] as const)('ends well: %s', async (_, pieces, end) => {
    const result = await run(await serve(pieces, end));
    expect(result).toMatchObject({ text: 'One two.', end: 'stop', error: undefined });
    expect(server.requests).toHaveLength(1);
  });

  it.each([
    ['of events', whole],
    ['of an event without its empty line', [event(textChunk('One two.', 'STOP')).trimEnd()]],
    ['that is a list without an end', [`[${JSON.stringify(textChunk('One two.', 'STOP'))}`]],
    ['that is one object', [JSON.stringify(textChunk('One two.', 'STOP'))]],
  ])('ends an answer %s after two seconds if the connection stays open', async (_, pieces) => {
    await serve(pieces, 'open');
    const clock = new VirtualClock();
    const result = run(new GeminiModel({ baseUrl: server.url, clock }));
    await server.whenAnswered(1);
    await expect
      .poll(async () => {
        await clock.advance(2_000);
        return Promise.race([result, undefined]);
      })
      .toMatchObject({ text: 'One two.', end: 'stop' });
    expect(clock.now()).toBeLessThan(60_000 + new VirtualClock().now());
    expect(clock.pendingTimers).toBe(0);
  });

  it('reads counts that come after the finish chunk', async () => {
    const model = await serve([event(textChunk('One two.', 'STOP')), event(counts)], 'open');
    expect((await run(model)).finish).toMatchObject({ finishReason: 'stop', usage });
  });

  it('reads the whole text of a model that repeats STOP in every chunk', async () => {
    const words = ['One ', 'two ', 'three ', 'four.'].map((text) => event(textChunk(text, 'STOP')));
    expect(await run(await serve(words, 'close'))).toMatchObject({
      text: 'One two three four.',
      end: 'stop',
    });
  });

  it.each([
    ['a reset before the finish reason', [event(textChunk('One '))], 'reset', 'network/call: UND_ERR_SOCKET'],
    [
      'half an event',
      [event(textChunk('One ')), 'data: {"candi'],
      'close',
      'incomplete/call: MALFORMED_JSON',
    ],
    [
      'a placeholder in every chunk',
      [event(textChunk('One ', 'FINISH_REASON_UNSPECIFIED'))],
      'close',
      'incomplete/call: NO_FINISH_REASON',
    ],
    ['only an end mark', ['data: [DONE]\n\n'], 'close', 'incomplete/call: EMPTY_REPLY'],
    ['only comments', [': hello\n\n'], 'close', 'incomplete/call: EMPTY_REPLY'],
  ] as const)('fails: %s', async (_, pieces, end, expected) => {
    expect((await run(await serve(pieces, end))).end).toBe(expected);
  });

  it('closes the connection that the server left open', async () => {
    let isClosed: Promise<unknown> = Promise.resolve();
    server = await startRawServer(async (response) => {
      isClosed = new Promise((resolve) => response.once('close', resolve));
      await writePieces(response, ...whole, 'data: [DONE]\n\n');
    });
    await run(new GeminiModel({ baseUrl: server.url }));
    await isClosed;
  });

  it("throws the caller's reason after the finish chunk, too", async () => {
    const model = await serve(whole, 'open');
    const caller = new AbortController();
    const stream = model.stream(ask('hello'), { apiKey, signal: caller.signal });
    await stream.next();
    await stream.next();
    caller.abort('enough');
    await expect(stream.next()).rejects.toBe('enough');
  });

  it('reports the tokens that a failed call cost', async () => {
    const thought = { candidates: [{ content: { parts: [{ text: 'hm', thought: true }] } }] };
    const spent = { usageMetadata: { promptTokenCount: 4, thoughtsTokenCount: 4096 } };
    const end = event({ candidates: [{ finishReason: 'MAX_TOKENS' }], ...spent });
    const { failure } = await run(await serve([event(thought), end], 'close'));
    expect(failure).toMatchObject({
      ...{ kind: 'incomplete', reason: 'MAX_TOKENS' },
      usage: { inputTokens: 4, thoughtTokens: 4096 },
    });
    expect(failure?.message).toContain('maxOutputTokens');
    expect(failure?.usage).not.toHaveProperty('outputTokens');
  });

  it('reports the tokens that an answer cost before its connection broke', async () => {
    const { failure } = await run(await serve([event(textChunk('One ', undefined, counts))], 'reset'));
    expect(failure).toMatchObject({ kind: 'network', usage });
  });
});
