import type { AbortOptions } from '../core/call-options.js';
import { ModelCallError } from '../core/errors.js';
import type { Failure } from '../core/failure.js';
import type { FinishReason, Usage } from '../core/turn.js';
import type { ChatModel, ModelEvent, ModelRequest } from '../model/chat-model.js';

/** How one call of a {@link FakeChatModel} goes: thoughts, then text, then the end or the fault. */
export interface FakeAnswer {
  readonly thoughts?: readonly string[] | undefined;
  /** The text, in the pieces that it is streamed in. */
  readonly text?: string | readonly string[] | undefined;
  /** Default `stop`. */
  readonly finishReason?: FinishReason | undefined;
  /** Default: a token per four characters. */
  readonly usage?: Usage | undefined;
  /** Thrown after the text, inside a `ModelCallError`. */
  readonly failure?: Failure | undefined;
  /** Thrown after the text as it is, such as a `BlockedError`. */
  readonly error?: unknown;
  /** Waits after the text until the call is aborted. */
  readonly hangs?: boolean | undefined;
}

/** A call that a {@link FakeChatModel} received. */
export interface FakeModelCall {
  readonly request: ModelRequest;
  readonly apiKey: string;
  /** Whether the caller left before the end, by abort or by leaving the loop. */
  readonly cancelled: boolean;
}

/**
 * A `ChatModel` that answers from a script, one entry a call, and records what it was asked. When the
 * script is used up it repeats the last text of the request.
 *
 * @example
 * ```ts
 * const model = new FakeChatModel([{ failure: makeFailure('overloaded') }, 'Hello!']);
 * const chat = new MultimodalChat({ model, keyPool: new FakeKeyPool(), memory: false });
 * const reply = await chat.send({ sessionId: 's', prompt: 'Hi' });
 * assert.equal(reply.text, 'Hello!');
 * assert.equal(model.calls.length, 2);
 * ```
 */
export class FakeChatModel implements ChatModel {
  readonly #script: FakeAnswer[];
  readonly #calls: { request: ModelRequest; apiKey: string; cancelled: boolean }[] = [];

  constructor(script: readonly (string | FakeAnswer)[] = []) {
    this.#script = script.map(toAnswer);
  }

  /** The calls so far, oldest first. */
  get calls(): readonly FakeModelCall[] {
    return this.#calls;
  }

  /** Adds to the script. */
  answerNext(...answers: readonly (string | FakeAnswer)[]): void {
    this.#script.push(...answers.map(toAnswer));
  }

  async *stream(
    request: ModelRequest,
    { apiKey, signal }: AbortOptions & { readonly apiKey: string },
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
      modelVersion: request.model,
      parts: [{ text }],
    };
  }
}

const toAnswer = (answer: string | FakeAnswer): FakeAnswer =>
  typeof answer === 'string' ? { text: answer } : answer;

const textsOf = (request: ModelRequest) =>
  request.contents.flatMap(({ parts }) => parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])));

const lastTextOf = (request: ModelRequest) => textsOf(request).at(-1) ?? '';

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function estimateUsage(request: ModelRequest, answer: string): Usage {
  const inputTokens = Math.ceil(textsOf(request).join('').length / 4);
  const outputTokens = Math.ceil(answer.length / 4);
  return { inputTokens, outputTokens, thoughtTokens: 0, totalTokens: inputTokens + outputTokens };
}
