import { onAbort } from '../core/abort.js';
import { ModelCallError } from '../core/errors.js';
import type { Failure } from '../core/failure.js';
import type { MediaCapabilities } from '../core/media.js';
import type { FinishReason, Usage } from '../core/turn.js';
import type {
  ChatModel,
  ModelCapabilities,
  ModelEvent,
  ModelNames,
  ModelRequest,
  ModelStreamOptions,
} from '../model/chat-model.js';

/** One scripted answer of a {@link FakeChatModel}: thoughts, then text, then the end or a failure. */
export interface FakeAnswer {
  readonly thoughts?: readonly string[] | undefined;
  /** The text, in the pieces in which it is streamed. */
  readonly text?: string | readonly string[] | undefined;
  /** Default `stop`. */
  readonly finishReason?: FinishReason | undefined;
  /** Default: one token per four characters. */
  readonly usage?: Usage | undefined;
  /** Thrown after the text, inside a `ModelCallError`. */
  readonly failure?: Failure | undefined;
  /** Thrown after the text unchanged, such as a `BlockedError`. */
  readonly error?: unknown;
  /** Waits after the text until the call is aborted. */
  readonly hangs?: boolean | undefined;
}

/** A call that a {@link FakeChatModel} received. */
export interface FakeModelCall {
  readonly request: ModelRequest;
  /** Absent unless the model `needsKey`. */
  readonly apiKey?: string | undefined;
  /** Whether the caller left before the end, by abort or by leaving the loop. */
  readonly cancelled: boolean;
}

/** Settings of a {@link FakeChatModel}. */
export interface FakeChatModelOptions {
  /** Whether it needs keys of a pool. Default `false`. */
  readonly needsKey?: boolean | undefined;
  /** Default `fake`. */
  readonly provider?: string | undefined;
  /** Its default model name. Default `fake-model`. */
  readonly model?: string | undefined;
  /** The media types it accepts. Default: common pictures, sound, PDF and text. */
  readonly media?: MediaCapabilities | undefined;
}

const commonMedia: MediaCapabilities = {
  inline: [
    'image/jpeg',
    'image/png',
    'image/webp',
    'audio/mp3',
    'audio/aac',
    'application/pdf',
    'text/plain',
  ],
};

/**
 * A `ChatModel` that answers from a script, one entry per call, and records its requests. After the script
 * it repeats the last text of the request.
 *
 * @example
 * ```ts
 * const model = new FakeChatModel([{ failure: makeFailure('overloaded') }, 'Hello!']);
 * const chat = new MultimodalChat({ model, memory: false });
 * const reply = await chat.send({ sessionId: 's', prompt: 'Hi' });
 * assert.equal(reply.text, 'Hello!');
 * assert.equal(model.calls.length, 2);
 * ```
 */
export class FakeChatModel implements ChatModel {
  readonly #script: FakeAnswer[];
  readonly #calls: { request: ModelRequest; apiKey: string | undefined; cancelled: boolean }[] = [];
  readonly #media: MediaCapabilities;
  readonly provider: string;
  readonly models: ModelNames;
  readonly needsKey: boolean;

  constructor(script: readonly (string | FakeAnswer)[] = [], options: FakeChatModelOptions = {}) {
    this.#script = script.map(toAnswer);
    this.#media = options.media ?? commonMedia;
    this.provider = options.provider ?? 'fake';
    this.models = { default: options.model ?? 'fake-model' };
    this.needsKey = options.needsKey ?? false;
  }

  capabilities(): ModelCapabilities {
    return { media: this.#media };
  }

  /** All calls, oldest first. */
  get calls(): readonly FakeModelCall[] {
    return this.#calls;
  }

  /** Adds to the script. */
  answerNext(...answers: readonly (string | FakeAnswer)[]): void {
    this.#script.push(...answers.map(toAnswer));
  }

  async *stream(
    request: ModelRequest,
    { apiKey, signal }: ModelStreamOptions = {},
  ): AsyncGenerator<ModelEvent> {
    const call = { request, apiKey, cancelled: true };
    this.#calls.push(call);
    const answer = this.#script.shift() ?? toAnswer(lastTextOf(request));
    const pieces = typeof answer.text === 'string' ? [answer.text] : (answer.text ?? []);
    for (const event of [
      ...(answer.thoughts ?? []).map((text): ModelEvent => ({ type: 'thought', text })),
      ...pieces.map((text): ModelEvent => ({ type: 'text', text })),
    ]) {
      signal?.throwIfAborted();
      yield event;
    }
    signal?.throwIfAborted();
    if (answer.hangs) await untilAborted(signal);
    call.cancelled = false;
    if (answer.error !== undefined) throw answer.error;
    if (answer.failure) throw new ModelCallError(answer.failure);
    const text = pieces.join('');
    yield {
      type: 'finish',
      finishReason: answer.finishReason ?? 'stop',
      usage: answer.usage ?? estimateUsage(request, text),
      info: { modelVersion: request.model },
      parts: [{ type: 'text', text }],
    };
  }
}

const toAnswer = (answer: string | FakeAnswer): FakeAnswer =>
  typeof answer === 'string' ? { text: answer } : answer;

const textsOf = (request: ModelRequest) =>
  request.messages.flatMap(({ parts }) => parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])));

const lastTextOf = (request: ModelRequest) => textsOf(request).at(-1) ?? '';

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    onAbort(signal, reject);
  });
}

function estimateUsage(request: ModelRequest, answer: string): Usage {
  const inputTokens = Math.ceil(textsOf(request).join('').length / 4);
  const outputTokens = Math.ceil(answer.length / 4);
  return { inputTokens, outputTokens, thoughtTokens: 0, totalTokens: inputTokens + outputTokens };
}
