import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { ask, clip, turn } from '../../test/support/http-samples.js';
import type { Reply } from '../index.js';
import { createHandler } from './handler.js';

let tempDir: string;

beforeEach(async () => {
  tempDir = await mkdtemp(join(tmpdir(), 'http-test-'));
});

afterEach(async () => {
  const left = await readdir(tempDir);
  await rm(tempDir, { recursive: true, force: true });
  expect(left).toEqual([]);
});

describe('the reply of POST /infer', () => {
  it.each([
    ['no Accept', undefined, 'text/plain; charset=utf-8'],
    ['anything', '*/*', 'text/plain; charset=utf-8'],
    ['JSON', 'application/json', 'application/json; charset=utf-8'],
    ['events', 'text/event-stream', 'text/event-stream; charset=utf-8'],
    ['its preferred type', 'text/plain;q=0.2, application/json;q=0.9', 'application/json; charset=utf-8'],
  ])('has the type that the client accepts: %s', async (_what, accept, type) => {
    const handler = createHandler(fakeChat(), { tempDir });
    const response = await handler(ask({ prompt: 'Hi', session_id: 'c1' }, accept ? { accept } : {}));
    expect(response.headers.get('content-type')).toBe(type);
    expect(response.headers.get('x-session-id')).toBe('c1');
    expect(response.headers.get('cache-control')).toBe('no-store');
    await response.text();
  });

  it('is the answer alone as text', async () => {
    const chat = fakeChat({ reply: { text: 'Grüße 🎉' } });
    const response = await createHandler(chat, { tempDir })(ask({ prompt: 'Hi' }));
    expect(await response.text()).toBe('Grüße 🎉');
    expect(response.headers.get('content-length')).toBe(String(Buffer.byteLength('Grüße 🎉')));
  });

  it.each<[Partial<Reply>, string]>([
    [{ text: 'Half of', finishReason: 'max-tokens' }, 'Half of'],
    [
      { code: [{ code: 'print(1)', language: 'python', result: { outcome: 'ok', output: '1' } }] },
      'The answer has no text. It holds:\n- code in python:\nprint(1)\nIts output (ok):\n1\n',
    ],
    [{ code: [{ code: 'x' }] }, 'The answer has no text. It holds:\n- code:\nx\n'],
    [
      { toolCalls: [{ type: 'tool-call', callId: 'a', name: 'find', input: { id: 7 } }] },
      'The answer has no text. It holds:\n- a call of find with {"id":7}\n',
    ],
    [{ finishReason: 'unknown' }, 'The answer is empty (finish reason: unknown).'],
    [
      { text: ' \n', rawFinishReason: 'OTHER', finishMessage: 'No idea.' },
      'The answer is empty (finish reason: OTHER). No idea.',
    ],
  ])('is never empty as text, and names its finish reason: %j', async (reply, text) => {
    const chat = fakeChat({ reply: { text: '', ...reply } });
    const response = await createHandler(chat, { tempDir })(ask({ prompt: 'Hi' }));
    expect(await response.text()).toBe(text);
    expect(response.headers.get('x-finish-reason')).toBe(reply.finishReason ?? 'stop');
    expect(response.headers.get('x-files')).toBeNull();
  });

  it('has everything that the answer holds as JSON', async () => {
    const providerMetadata = { google: { thoughtSignature: 'c2lnbmVk' } };
    const spans = [{ start: 0, end: 5 }];
    const chat = fakeChat({
      reply: {
        usage: { inputTokens: 3, toolTokens: 40 },
        finishReason: 'unknown',
        rawFinishReason: 'OTHER',
        finishMessage: 'No idea.',
        responseId: 'r1',
        modelVersion: 'gemini-3.8-flash-001',
        safetyRatings: [{ category: 'HARM', probability: 'LOW', blocked: false }],
        searchSuggestions: { queries: ['tides'], html: '<b>tides</b>' },
        sources: [
          {
            type: 'source',
            kind: 'web',
            title: 'T',
            url: 'https://a.example/',
            license: 'mit',
            spans,
            providerMetadata,
          },
        ],
        code: [
          { code: 'print(1)', language: 'python', result: { outcome: 'ok', output: '1' } },
          { code: 'x' },
        ],
        toolCalls: [{ type: 'tool-call', callId: 'a', name: 'find', input: { id: 7 }, providerMetadata }],
      },
    });
    const response = await createHandler(chat, { tempDir })(
      ask({ prompt: 'Hi' }, { accept: 'application/json' }),
    );
    expect(response.headers.get('x-finish-reason')).toBe('unknown');
    const body = await response.json();
    expect(body).toMatchObject({
      finish_reason: 'unknown',
      raw_finish_reason: 'OTHER',
      finish_message: 'No idea.',
      response_id: 'r1',
      model_version: 'gemini-3.8-flash-001',
      safety_ratings: [{ category: 'HARM', probability: 'LOW', blocked: false }],
      search_suggestions: { queries: ['tides'], html: '<b>tides</b>' },
    });
    expect(body.usage).toEqual({ input_tokens: 3, tool_tokens: 40 });
    expect(body.sources).toEqual([
      { kind: 'web', title: 'T', url: 'https://a.example/', license: 'mit', spans },
    ]);
    expect(body.code).toEqual([
      { language: 'python', code: 'print(1)', result: { outcome: 'ok', output: '1' } },
      { code: 'x' },
    ]);
    expect(body.tool_calls).toEqual([{ call_id: 'a', name: 'find', input: { id: 7 } }]);
  });

  it('is the whole answer as JSON, renamed fields under both names', async () => {
    const failure = { kind: 'overloaded', scope: 'model', message: 'busy', status: 503 } as const;
    const attempt = { model: 'm', keyId: 'key_1_...w2Do', startedAt: 1_700_000_001_250, durationMs: 7 };
    const chat = fakeChat({
      reply: {
        media: [clip],
        recalled: [{ turn, score: 0.5 }],
        recentTurns: 2,
        reattachedMedia: [{ kind: 'image', name: 'map.png', fingerprint: 'ee', mimeType: 'image/png' }],
        summarizedTurns: 9,
        attempts: [{ ...attempt, failure }, attempt],
      },
    });
    const handler = createHandler(chat, { tempDir });
    const response = await handler(ask({ prompt: 'Hi', session_id: 'c1' }, { accept: 'application/json' }));
    expect(await response.json()).toEqual({
      response: 'Hello',
      files: [],
      sources: [],
      code: [],
      tool_calls: [],
      tool_results: [],
      pending: [],
      session_id: 'c1',
      turn_id: 't1',
      processing_time: 1.234,
      model: 'gemini-3.8-flash',
      finish_reason: 'stop',
      usage: { input_tokens: 10, output_tokens: 2, thought_tokens: 0, total_tokens: 12 },
      media: [
        {
          kind: 'video',
          name: 'clip.mp4',
          mime_type: 'video/mp4',
          bytes: 1000,
          width: 640,
          height: 360,
          duration_ms: 4000,
          codec: 'h264',
          fingerprint: 'abc',
          estimated_tokens: 516,
          has_audio: true,
          frames: [
            { timestamp_ms: 1000, mime_type: 'image/jpeg' },
            { timestamp_ms: 3000, mime_type: 'image/jpeg' },
          ],
        },
      ],
      recalled: [
        {
          turn_id: 't0',
          created_at: 1_700_000_000.5,
          prompt: 'Where was it?',
          response: 'In Lisbon.',
          score: 0.5,
          media: [
            {
              kind: 'video',
              name: 'a.mp4',
              fingerprint: 'ff',
              mime_type: 'video/mp4',
              frame_timestamps_ms: [500],
            },
          ],
        },
      ],
      reattached_media: [{ name: 'map.png', kind: 'image' }],
      recent_turns: 2,
      summarized_turns: 9,
      attempts: [
        {
          model: 'm',
          started_at: 1_700_000_001.25,
          duration_ms: 7,
          failure: { kind: 'overloaded', status: 503, message: 'busy' },
        },
        { model: 'm', started_at: 1_700_000_001.25, duration_ms: 7 },
      ],
      timings: { total_ms: 1234, media_ms: 0, memory_ms: 1, queue_ms: 0, first_token_ms: 900 },
      stored: true,
      // Former names, sent for one minor version.
      shown_again: [{ name: 'map.png', kind: 'image' }],
      summarised_turns: 9,
      remembered: true,
    });
  });

  it('includes the frames in JSON with `frames=1`', async () => {
    const handler = createHandler(fakeChat({ reply: { media: [clip] } }), { tempDir });
    const response = await handler(ask({ prompt: 'Hi' }, { accept: 'application/json' }, '/infer?frames=1'));
    const { media } = await response.json();
    expect(media[0].frames.map((frame: { data: string }) => frame.data)).toEqual([
      'data:image/jpeg;base64,b25l',
      'data:image/jpeg;base64,dHdv',
    ]);
  });
});
