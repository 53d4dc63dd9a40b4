import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { assert, describe, expect, it } from 'vitest';
import { BlockedError, ClosedError, MediaError, ModelCallError } from '../core/errors.js';
import type { ModelEvent, ModelRequest } from '../model/chat-model.js';
import { assertAgreement } from './contracts/chat-model/assert-agreement.js';
import { FakeChatModel } from './fake-chat-model.js';
import { FakeEmbedder } from './fake-embedder.js';
import { FakeKeyPool } from './fake-key-pool.js';
import { FakeMediaProcessor } from './fake-media-processor.js';
import { makeFailure } from './make-failure.js';

const request: ModelRequest = {
  model: 'a-model',
  messages: [{ role: 'user', parts: [{ type: 'text', text: 'Hello' }] }],
  generation: {},
};

async function collect(model: FakeChatModel) {
  const events: ModelEvent[] = [];
  try {
    for await (const event of model.stream(request, { apiKey: 'k' })) events.push(event);
    return { events, error: undefined };
  } catch (error) {
    return { events, error };
  }
}

describe('FakeChatModel', () => {
  it('answers from its script, then repeats the prompt, and records the calls', async () => {
    const model = new FakeChatModel([
      { thoughts: ['hm'], text: ['One ', 'two'], finishReason: 'max-tokens' },
    ]);
    expect((await collect(model)).events).toMatchObject([
      { type: 'thought', text: 'hm' },
      { type: 'text', text: 'One ' },
      { type: 'text', text: 'two' },
      {
        type: 'finish',
        finishReason: 'max-tokens',
        usage: { outputTokens: 2 },
        parts: [
          { type: 'reasoning', text: 'hm' },
          { type: 'text', text: 'One two' },
        ],
      },
    ]);
    expect((await collect(model)).events[0]).toEqual({ type: 'text', text: 'Hello' });
    expect(model.calls).toEqual([
      { request, apiKey: 'k', cancelled: false },
      { request, apiKey: 'k', cancelled: false },
    ]);
  });

  it('gives files, code, calls and sources, in its events as in its parts', async () => {
    const data = new Uint8Array([1, 2, 3]);
    const code = { code: 'print(1)', language: 'python' };
    const result = { outcome: 'ok', output: '1\n' } as const;
    const call = { callId: 'c1', name: 'find', input: { id: 7 } };
    const source = { kind: 'web', url: 'https://a.test', spans: [{ start: 0, end: 3 }] } as const;
    const model = new FakeChatModel(
      [
        {
          code: [{ ...code, result }, code],
          text: 'One',
          files: [{ mimeType: 'image/png', data }],
          toolCalls: [call],
          sources: [source],
          info: { responseId: 'r1' },
          continuation: { at: 3 },
        },
      ],
      { capabilities: { builtIn: ['code'] } },
    );
    const { events } = await collect(model);
    const finish = events.at(-1);
    assert(finish?.type === 'finish');
    expect(events.map(({ type }) => type)).toEqual([
      ...['code', 'code-result', 'code', 'text', 'file', 'tool-call', 'source', 'finish'],
    ]);
    assertAgreement(events, finish);
    expect(finish).toMatchObject({ info: { responseId: 'r1' }, continuation: { at: 3 } });
    const fingerprint = '039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81';
    expect(events).toContainEqual({
      type: 'file',
      file: { mimeType: 'image/png', data, fingerprint, name: 'file-1' },
    });
    expect(model.capabilities()).toMatchObject({ builtIn: ['code'], media: { inline: expect.anything() } });
  });

  it('fails as scripted, after the text', async () => {
    const model = new FakeChatModel([{ text: 'Half', failure: makeFailure('overloaded') }]);
    model.answerNext({ error: new BlockedError('SAFETY', 'Refused.') });
    const failed = await collect(model);
    expect(failed.events).toEqual([{ type: 'text', text: 'Half' }]);
    expect(failed.error).toBeInstanceOf(ModelCallError);
    expect(failed.error).toMatchObject({ failure: { kind: 'overloaded', scope: 'model' } });
    expect((await collect(model)).error).toBeInstanceOf(BlockedError);
  });

  it('marks calls as cancelled that were aborted or whose loop was left', async () => {
    const model = new FakeChatModel(['One', { text: 'Two', hangs: true }]);
    for await (const _ of model.stream(request, { apiKey: 'k' })) break;
    const controller = new AbortController();
    const reason = new Error('gone');
    const hanging = async () => {
      for await (const _ of model.stream(request, { apiKey: 'k', signal: controller.signal }))
        queueMicrotask(() => controller.abort(reason));
    };
    await expect(hanging()).rejects.toBe(reason);
    expect(model.calls.map(({ cancelled }) => cancelled)).toEqual([true, true]);
  });
});

describe('FakeKeyPool', () => {
  it('grants its keys in turn and keeps the first settlement of each lease', async () => {
    const pool = new FakeKeyPool(['one', 'two']);
    const need = { model: 'a-model', estimatedTokens: 9 };
    const leases = [await pool.acquire(need), await pool.acquire(need), await pool.acquire(need)];
    expect(leases.map(({ key }) => key.value)).toEqual(['one', 'two', 'one']);
    leases[0]?.settle({ ok: false, failure: makeFailure('auth'), sent: true });
    leases[0]?.settle({ ok: true });
    leases[1]?.settle({ ok: true });
    expect(pool.leases.map(({ outcome }) => outcome?.ok)).toEqual([false, true, undefined]);
    expect(await pool.stats()).toMatchObject({
      inFlight: 1,
      keys: [
        { usageCount: 2, failureCount: 1, inFlight: 1, isCurrent: true },
        { usageCount: 1, successCount: 1, inFlight: 0, isCurrent: false },
      ],
    });
  });

  it('shows no key value in its stats, and grants nothing once closed', async () => {
    const pool = new FakeKeyPool(['top-secret']);
    expect(JSON.stringify(await pool.stats())).not.toContain('top-secret');
    await pool.close();
    await expect(pool.acquire({ model: 'm', estimatedTokens: 1 })).rejects.toThrow(ClosedError);
  });
});

describe('FakeMediaProcessor', () => {
  it('returns a real picture for any source, named after it', async () => {
    const processor = new FakeMediaProcessor();
    const sources = ['a/photo.jpg', new URL('file:///b/clip.mp4'), { data: Buffer.from(''), name: 'c.png' }];
    const all = await Promise.all(sources.map((source) => processor.prepare(source)));
    expect(all.map(({ name }) => name)).toEqual(['photo.jpg', 'clip.mp4', 'c.png']);
    expect(processor.sources).toEqual(sources);
    const { width, height } = await sharp(all[0]?.parts[0]?.data).metadata();
    expect([width, height]).toEqual([1, 1]);
  });

  it('answers from its script', async () => {
    const processor = new FakeMediaProcessor();
    processor.prepareNext({ kind: 'video', parts: [] }, new MediaError('corrupt', 'Broken.'));
    expect(await processor.prepare('x')).toMatchObject({ kind: 'video', parts: [] });
    await expect(processor.prepare('x')).rejects.toThrow('Broken.');
  });
});

describe('FakeEmbedder', () => {
  it('returns one vector of its size per text, and records the purpose', async () => {
    const embedder = new FakeEmbedder(64);
    const vectors = await embedder.embed(['one', 'two'], { purpose: 'query' });
    expect(vectors.map(({ length }) => length)).toEqual([64, 64]);
    expect(embedder.calls).toEqual([{ texts: ['one', 'two'], purpose: 'query' }]);
  });
});

describe('multimodal-chat/testing', () => {
  it('depends on no test framework', () => {
    const entry = readFileSync('src/testing.ts', 'utf8');
    const files = [...entry.matchAll(/'\.\/(testing\/[^']+)\.js'/g)].map(([, file]) => `src/${file}.ts`);
    expect(files.length).toBeGreaterThan(5);
    for (const file of files)
      expect(readFileSync(file, 'utf8')).not.toMatch(/from '(vitest|jest|node:test)'/);
  });
});
