import { createHash } from 'node:crypto';
import { onAbort } from '../core/abort.js';
import { ModelCallError } from '../core/errors.js';
import type { Failure } from '../core/failure.js';
import type { MediaCapabilities } from '../core/media.js';
import type {
  AnswerInfo,
  CodePart,
  CodeResultPart,
  JsonValue,
  MessagePart,
  SourcePart,
  ToolCallPart,
} from '../core/message.js';
import type { FinishReason } from '../core/turn.js';
import type { Usage } from '../core/usage.js';
import type {
  ChatModel,
  ModelCapabilities,
  ModelEvent,
  ModelNames,
  ModelRequest,
  ModelStreamOptions,
} from '../model/chat-model.js';

/** One scripted answer of a {@link FakeChatModel}: its fields in this order, then the end or a failure. */
export interface FakeAnswer {
  readonly thoughts?: readonly string[] | undefined;
  /** Code that was run. */
  readonly code?: readonly FakeCode[] | undefined;
  /** The text, in the pieces in which it is streamed. */
  readonly text?: string | readonly string[] | undefined;
  /** Generated files; their fingerprints are computed. */
  readonly files?: readonly FakeFile[] | undefined;
  readonly toolCalls?: readonly Omit<ToolCallPart, 'type'>[] | undefined;
  readonly sources?: readonly Omit<SourcePart, 'type'>[] | undefined;
  /** Default: the name of the model as its version. */
  readonly info?: AnswerInfo | undefined;
  /** Ends the answer as one that goes on in another call. */
  readonly continuation?: JsonValue | undefined;
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

/** Code, and what it printed. */
export interface FakeCode extends Omit<CodePart, 'type'> {
  readonly result?: Omit<CodeResultPart, 'type'> | undefined;
}

/** A generated file. */
export interface FakeFile {
  readonly mimeType: string;
  readonly data: Uint8Array;
  /** Default `file-1`, `file-2` and so on. */
  readonly name?: string | undefined;
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
  /** What else it takes, such as built-in tools. Default: nothing. */
  readonly capabilities?: Omit<ModelCapabilities, 'media'> | undefined;
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
  readonly #capabilities: ModelCapabilities;
  readonly provider: string;
  readonly models: ModelNames;
  readonly needsKey: boolean;

  constructor(script: readonly (string | FakeAnswer)[] = [], options: FakeChatModelOptions = {}) {
    this.#script = script.map(toAnswer);
    this.#capabilities = { ...options.capabilities, media: options.media ?? commonMedia };
    this.provider = options.provider ?? 'fake';
    this.models = { default: options.model ?? 'fake-model' };
    this.needsKey = options.needsKey ?? false;
  }

  capabilities(): ModelCapabilities {
    return this.#capabilities;
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
    const { events, parts } = tell(answer);
    for (const event of events) {
      signal?.throwIfAborted();
      yield event;
    }
    signal?.throwIfAborted();
    if (answer.hangs) await untilAborted(signal);
    call.cancelled = false;
    if (answer.error !== undefined) throw answer.error;
    if (answer.failure) throw new ModelCallError(answer.failure);
    const { finishReason = 'stop', info = { modelVersion: request.model }, continuation } = answer;
    yield {
      type: 'finish',
      finishReason,
      usage: answer.usage ?? estimateUsage(request, textOf(answer)),
      info,
      parts,
      ...(continuation !== undefined && { continuation }),
    };
  }
}

const piecesOf = ({ text = [] }: FakeAnswer) => (typeof text === 'string' ? [text] : text);
const textOf = (answer: FakeAnswer) => piecesOf(answer).join('');

/** What is streamed before the end, and the record of it. */
function tell(answer: FakeAnswer): { events: readonly ModelEvent[]; parts: readonly MessagePart[] } {
  const { thoughts = [], code = [], files = [], toolCalls = [], sources = [] } = answer;
  const events: ModelEvent[] = [];
  const parts: MessagePart[] = [];
  for (const text of thoughts) events.push({ type: 'thought', text });
  if (thoughts.length > 0) parts.push({ type: 'reasoning', text: thoughts.join('') });
  for (const { result, ...rest } of code) {
    const part: CodePart = { ...rest, type: 'code' };
    events.push({ type: 'code', code: part });
    parts.push(part);
    if (result === undefined) continue;
    const printed: CodeResultPart = { ...result, type: 'code-result' };
    events.push({ type: 'code-result', result: printed });
    parts.push(printed);
  }
  for (const text of piecesOf(answer)) events.push({ type: 'text', text });
  if (answer.text !== undefined) parts.push({ type: 'text', text: textOf(answer) });
  for (const [index, { mimeType, data, name = `file-${index + 1}` }] of files.entries()) {
    const fingerprint = createHash('sha256').update(data).digest('hex');
    events.push({ type: 'file', file: { mimeType, data, fingerprint, name } });
    parts.push({ type: 'file', mimeType, fingerprint, bytes: data.byteLength, name });
  }
  for (const each of toolCalls) {
    const call: ToolCallPart = { ...each, type: 'tool-call' };
    events.push({ type: 'tool-call', call });
    parts.push(call);
  }
  for (const each of sources) {
    const source: SourcePart = { ...each, type: 'source' };
    events.push({ type: 'source', source });
    parts.push(source);
  }
  return { events, parts };
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
