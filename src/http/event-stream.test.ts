import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { ask, clip, readEvents, turn } from '../../test/support/http-samples.js';
import { KeyPoolExhaustedError } from '../index.js';
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

describe('the streamed reply', () => {
  it('sends every event, frames in the media event, the whole answer last', async () => {
    const chat = fakeChat({
      events: [
        { type: 'media', index: 0, progress: { name: 'clip.mp4', stage: 'decoding', fraction: 0.5 } },
        { type: 'media', index: 0, progress: { name: 'clip.mp4', stage: 'ready', fraction: 1 }, media: clip },
        { type: 'recall', turns: [{ turn, score: 1 }], recentTurns: 3 },
        { type: 'attempt', attempt: 1, model: 'm', keyId: 'key_1' },
        { type: 'thought', text: 'Hm' },
        { type: 'text', text: 'Hel\nlo' },
        { type: 'restart', failure: { kind: 'incomplete', scope: 'call', message: 'It broke off.' } },
      ],
    });
    const handler = createHandler(chat, { tempDir });
    const response = await handler(
      ask({ prompt: 'Hi', video_file: new Blob(['x']) }, { accept: 'text/event-stream' }),
    );
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    const events = readEvents(await response.text());
    expect(events.map(({ event }) => event)).toEqual([
      'media',
      'media',
      'recall',
      'attempt',
      'thought',
      'text',
      'restart',
      'done',
    ]);
    expect(events[0]?.data).toEqual({ index: 0, name: 'clip.mp4', stage: 'decoding', fraction: 0.5 });
    expect(events[1]?.data).toMatchObject({ stage: 'ready', media: { name: 'clip.mp4' } });
    expect(events[1]?.data).toHaveProperty('media.frames', [
      { timestamp_ms: 1000, mime_type: 'image/jpeg', data: 'data:image/jpeg;base64,b25l' },
      { timestamp_ms: 3000, mime_type: 'image/jpeg', data: 'data:image/jpeg;base64,dHdv' },
    ]);
    expect(events[2]?.data).toMatchObject({ recent_turns: 3, turns: [{ turn_id: 't0', score: 1 }] });
    expect(events[3]?.data).toEqual({ attempt: 1, model: 'm' });
    expect(events[5]?.data).toEqual({ text: 'Hel\nlo' });
    expect(events[6]?.data).toEqual({ kind: 'incomplete', message: 'It broke off.' });
    expect(events[7]?.data).toMatchObject({
      response: 'Hello',
      turn_id: 't1',
      stored: true,
      remembered: true,
    });
  });

  it('sends what is not text under names of its own', async () => {
    const providerMetadata = { google: { thoughtSignature: 'c2lnbmVk' } };
    const chat = fakeChat({
      events: [
        { type: 'code', code: { type: 'code', code: 'print(1)', language: 'python', providerMetadata } },
        {
          type: 'code-result',
          result: { type: 'code-result', outcome: 'ok', output: '1', providerMetadata },
        },
        {
          type: 'tool-call',
          call: { type: 'tool-call', callId: 'a', name: 'find', input: {}, providerMetadata },
        },
        {
          type: 'source',
          source: { type: 'source', kind: 'web', title: 'T', license: 'mit', providerMetadata },
        },
      ],
    });
    const handler = createHandler(chat, { tempDir });
    const response = await handler(ask({ prompt: 'Hi' }, { accept: 'text/event-stream' }));
    expect(readEvents(await response.text()).slice(0, -1)).toEqual([
      { event: 'code', data: { language: 'python', code: 'print(1)' } },
      { event: 'code-result', data: { outcome: 'ok', output: '1' } },
      { event: 'tool-call', data: { call_id: 'a', name: 'find', input: {} } },
      { event: 'source', data: { kind: 'web', title: 'T', license: 'mit' } },
    ]);
  });

  it('ends with an error event if the answer fails', async () => {
    const chat = fakeChat({
      before: () => {
        throw new KeyPoolExhaustedError('No key is free.', { retryAfterMs: 4200 });
      },
    });
    const handler = createHandler(chat, { tempDir });
    const response = await handler(ask({ prompt: 'Hi' }, { accept: 'text/event-stream' }));
    expect(response.status).toBe(200);
    expect(readEvents(await response.text())).toEqual([
      {
        event: 'error',
        data: {
          status: 503,
          detail: 'No key is free.',
          error: { code: 'KEY_POOL_EXHAUSTED', message: 'No key is free.', retry_after_ms: 4200 },
        },
      },
    ]);
  });

  it('cancels the chat and removes the files when its reader leaves', async () => {
    const chat = fakeChat({
      before: ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason));
        }),
    });
    const handler = createHandler(chat, { tempDir });
    const response = await handler(
      ask({ prompt: 'Hi', video_file: new Blob(['x']) }, { accept: 'text/event-stream' }),
    );
    await response.body?.cancel();
    expect(chat.requests[0]?.signal?.aborted).toBe(true);
    expect(await readdir(tempDir)).toEqual([]);
  });

  it('sends heartbeats while no event comes', async () => {
    let answer: () => void = () => expect.fail('The chat was not asked.');
    const chat = fakeChat({
      before: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const handler = createHandler(chat, { tempDir, heartbeatMs: 1 });
    const response = await handler(ask({ prompt: 'Hi' }, { accept: 'text/event-stream' }));
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const first = await reader.read();
    expect(Buffer.from(first.value ?? []).toString()).toBe(': heartbeat\n\n');
    answer();
    let rest = '';
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      rest += Buffer.from(read.value).toString();
    }
    expect(readEvents(rest).map(({ event }) => event)).toEqual(['text', 'done']);
  });
});
