import type { ServedChat } from '../../src/http/served-chat.js';
import type { ChatRequest, ChatStats, ChatStreamEvent, Reply, Turn } from '../../src/index.js';

/** A fake chat that records its requests. */
export interface FakeChat extends ServedChat {
  readonly requests: ChatRequest[];
  readonly forgotten: unknown[];
}

export interface FakeAnswers {
  /** Runs before the answer; may throw, read the request's files, or wait. */
  readonly before?: (request: ChatRequest) => Promise<void> | void;
  /** Events before `done`. Default: one text. */
  readonly events?: readonly ChatStreamEvent[];
  readonly reply?: Partial<Reply>;
  readonly stats?: Partial<ChatStats>;
  readonly turns?: readonly Turn[];
  /** What `file` finds. Default: nothing. */
  readonly file?: ServedChat['file'];
}

/** A chat for tests of HTTP alone: it answers as scripted and records its requests. */
export function fakeChat(answers: FakeAnswers = {}): FakeChat {
  const requests: ChatRequest[] = [];
  const forgotten: unknown[] = [];
  async function* stream(request: ChatRequest): AsyncGenerator<ChatStreamEvent, void, undefined> {
    requests.push(request);
    await answers.before?.(request);
    request.signal?.throwIfAborted();
    yield* answers.events ?? [{ type: 'text', text: 'Hello' } as const];
    yield { type: 'done', reply: fakeReply({ sessionId: request.sessionId ?? 'new', ...answers.reply }) };
  }
  return {
    requests,
    forgotten,
    stream,
    async send(request) {
      for await (const event of stream(request)) if (event.type === 'done') return event.reply;
      throw new Error('unreachable');
    },
    async history() {
      return answers.turns ?? [];
    },
    file: answers.file ?? (async () => undefined),
    async forget(target) {
      forgotten.push(target);
      return 3;
    },
    async stats() {
      return {
        keys: { keys: [], queued: 0, inFlight: 0 },
        calls: { total: 0, inFlight: 0, succeeded: 0, failed: 0, cancelled: 0, hedged: 0 },
        startedAt: 1_700_000_000_000,
        ...answers.stats,
      };
    },
  };
}

function fakeReply(reply: Partial<Reply> = {}): Reply {
  return {
    text: 'Hello',
    thoughts: '',
    files: [],
    sources: [],
    code: [],
    toolCalls: [],
    toolResults: [],
    pending: [],
    sessionId: 'c1',
    turnId: 't1',
    model: 'gemini-3.8-flash',
    usage: { inputTokens: 10, outputTokens: 2, thoughtTokens: 0, totalTokens: 12 },
    finishReason: 'stop',
    media: [],
    reattachedMedia: [],
    recalled: [],
    recentTurns: 0,
    summarizedTurns: 0,
    attempts: [],
    timings: { totalMs: 1234, mediaMs: 0, memoryMs: 1, queueMs: 0, firstTokenMs: 900 },
    stored: true,
    ...reply,
  };
}
