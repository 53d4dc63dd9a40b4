import { MultimodalChat } from 'multimodal-chat';
import {
  FakeChatModel,
  FakeKeyPool,
  FakeMediaProcessor,
  InMemoryStore,
  makeFailure,
} from 'multimodal-chat/testing';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { logChatEvents, makeFailureLog } from './log-events.js';

/** A chat on fakes, and what it logs: level, sentence and fields without times. */
function setUp(script: ConstructorParameters<typeof FakeChatModel>[0]) {
  const lines: { level: string; msg: string }[] = [];
  const log = pino(
    { level: 'debug', base: null, timestamp: false, formatters: { level: (level) => ({ level }) } },
    {
      write(line: string) {
        const { ms: _, ...fields } = JSON.parse(line);
        lines.push(fields);
      },
    },
  );
  const chat = new MultimodalChat({
    model: new FakeChatModel(script, { needsKey: true }),
    keyPool: new FakeKeyPool(['a-secret-key']),
    media: new FakeMediaProcessor(),
    memory: new InMemoryStore(),
    retry: { maxAttempts: 2, baseDelayMs: 1, maxDelayMs: 1 },
  });
  onTestFinished(() => chat.close());
  logChatEvents(chat, log, makeFailureLog(log));
  return { chat, lines };
}

describe('logChatEvents', () => {
  it('logs each step of a call at the level debug', async () => {
    const { chat, lines } = setUp([
      { failure: makeFailure('overloaded', { message: 'Too busy.' }) },
      'Hello',
    ]);
    await chat.send({ sessionId: 'c1', prompt: 'Hi', media: ['photo.png'] });
    const debug = lines.filter(({ level }) => level === 'debug').map(({ level: _, ...line }) => line);
    const key = expect.stringMatching(/^key_1_/);
    expect(debug).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ sessionId: 'c1', msg: 'attachment 1: done', mimeType: 'image/png' }),
        { sessionId: 'c1', msg: 'reading memory: done', recent: 0, recalled: 0 },
        expect.objectContaining({ msg: 'waiting for a key: done', model: 'fake-model', key }),
        expect.objectContaining({ msg: 'attempt 1: failed: Too busy.', kind: 'overloaded', key }),
        expect.objectContaining({ msg: 'attempt 2: done', tokens: expect.any(Number), finish: 'stop' }),
        { sessionId: 'c1', msg: 'writing memory: done' },
        expect.objectContaining({ msg: 'call: done', model: 'fake-model', tokens: expect.any(Number) }),
      ]),
    );
  });

  it('logs retries as warnings and answers as information', async () => {
    const { chat, lines } = setUp([
      { failure: makeFailure('overloaded', { message: 'Too busy.' }) },
      'Hello',
    ]);
    await chat.send({ sessionId: 'c1', prompt: 'Hi' });
    expect(lines.filter(({ level }) => level !== 'debug')).toMatchObject([
      { level: 'warn', msg: 'trying again: Too busy.', kind: 'overloaded' },
      { level: 'info', msg: 'answered', attempts: 2, model: 'fake-model' },
    ]);
  });

  it('logs a call that failed once, as an error', async () => {
    const { chat, lines } = setUp([
      { failure: makeFailure('invalid-request', { message: 'No such field.' }) },
    ]);
    await expect(chat.send({ sessionId: 'c1', prompt: 'Hi' })).rejects.toThrow('No such field.');
    expect(lines.filter(({ level }) => level === 'error')).toMatchObject([
      { msg: 'a call failed: No such field.', sessionId: 'c1' },
    ]);
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 'debug', msg: 'call: failed: No such field.' }),
    );
  });

  it('logs no key', async () => {
    const { chat, lines } = setUp(['Hello']);
    await chat.send({ sessionId: 'c1', prompt: 'Hi' });
    expect(JSON.stringify(lines)).not.toContain('a-secret-key');
  });
});
