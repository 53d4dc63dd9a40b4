import { randomUUID } from 'node:crypto';
import {
  type AnswerInfo,
  BlockedError,
  type ChatModel,
  type Failure,
  type FinishReason,
  ModelCallError,
  type ModelCapabilities,
  type ModelEvent,
  type ModelNames,
  type ModelRequest,
  type ModelStreamOptions,
  type ToolCallPart,
  type Usage,
} from 'multimodal-chat';
import { toBody } from './open-ai-request.js';

export interface OpenAiCompatibleModelOptions {
  /** With the version: `https://api.openai.com/v1`, `http://localhost:11434/v1`. */
  readonly baseUrl: string;
  /** Answers unless a call names another. */
  readonly model: string;
  /** Sent as a bearer token. Default: none, for a local server. */
  readonly apiKey?: string | undefined;
  /** Key of its entries in `providerOptions`. Default `openai-compatible`. */
  readonly provider?: string | undefined;
}

const media = {
  inline: [
    ...['image/jpeg', 'image/png', 'image/webp'],
    ...['text/plain', 'text/markdown', 'text/html', 'text/csv', 'text/xml', 'application/json'],
  ],
};

/** A piece of a function call; `index` says of which. */
interface CallPiece {
  readonly index: number;
  readonly id?: string;
  readonly function?: { readonly name?: string; readonly arguments?: string };
}

/** The parts of a streamed chunk that are read here. */
interface Chunk {
  readonly model?: string;
  readonly error?: { readonly message?: string };
  readonly usage?: Readonly<Record<'prompt_tokens' | 'completion_tokens' | 'total_tokens', number>> | null;
  readonly choices?: readonly {
    readonly delta?: {
      readonly content?: string | null;
      readonly reasoning_content?: string | null;
      readonly tool_calls?: readonly CallPiece[];
    };
    readonly finish_reason?: string | null;
  }[];
}

/** A `ChatModel` for servers that speak OpenAI's chat completions: OpenAI, vLLM, Ollama, llama.cpp, ... */
export class OpenAiCompatibleModel implements ChatModel {
  readonly provider: string;
  readonly models: ModelNames;
  /** Its key is an option of its own: the chat leases none, and no key of another provider reaches it. */
  readonly needsKey = false;
  readonly #options: OpenAiCompatibleModelOptions;

  constructor(options: OpenAiCompatibleModelOptions) {
    this.#options = options;
    this.provider = options.provider ?? 'openai-compatible';
    this.models = { default: options.model };
  }

  capabilities(): ModelCapabilities {
    return { media, tools: true, jsonSchema: true };
  }

  async *stream(request: ModelRequest, { signal }: ModelStreamOptions): AsyncGenerator<ModelEvent> {
    signal?.throwIfAborted();
    let text = '';
    let thoughts = '';
    const pieces: CallPiece[] = [];
    let hasReply = false;
    let last: { reason?: string; usage?: Usage; info?: AnswerInfo } = {};
    try {
      const response = await this.#post(request, signal);
      hasReply = true;
      if (!response.ok || response.body === null) throw await this.#refusal(response);
      for await (const chunk of chunksOf(response.body)) {
        if (chunk.error) throw this.#error('internal', 'call', chunk.error.message ?? 'unknown error');
        const { delta, finish_reason: reason } = chunk.choices?.[0] ?? {};
        if (delta?.reasoning_content) {
          thoughts += delta.reasoning_content;
          yield { type: 'thought', text: delta.reasoning_content };
        }
        if (delta?.content) {
          text += delta.content;
          yield { type: 'text', text: delta.content };
        }
        pieces.push(...(delta?.tool_calls ?? []));
        last = {
          ...last,
          ...(chunk.model && { info: { modelVersion: chunk.model } }),
          ...(chunk.usage && { usage: toUsage(chunk.usage) }),
          ...(reason && { reason }),
        };
      }
      const { reason, ...rest } = last;
      if (reason === 'content_filter') {
        throw new BlockedError(reason, 'The answer was stopped by a filter.', { partial: text });
      }
      if (reason === undefined)
        throw this.#error('incomplete', 'call', 'the answer ended without a finish reason');
      const calls = this.#callsOf(pieces);
      if (text === '' && calls.length === 0) throw this.#error('incomplete', 'call', 'the answer is empty');
      for (const call of calls) yield { type: 'tool-call', call };
      const finishReason = finishReasons[reason] ?? 'unknown';
      const reasoning = thoughts === '' ? [] : [{ type: 'reasoning', text: thoughts } as const];
      const said = text === '' ? [] : [{ type: 'text', text } as const];
      yield { type: 'finish', finishReason, ...rest, parts: [...reasoning, ...said, ...calls] };
    } catch (error) {
      signal?.throwIfAborted();
      if (ModelCallError.isInstance(error) || BlockedError.isInstance(error)) throw error;
      throw this.#error(hasReply ? 'incomplete' : 'network', 'call', reasonOf(error));
    }
  }

  /** The calls, once all their pieces are there. */
  #callsOf(pieces: readonly CallPiece[]): readonly ToolCallPart[] {
    const indices = [...new Set(pieces.map(({ index }) => index))];
    return indices.map((index) => {
      const own = pieces.filter((piece) => piece.index === index);
      const all = (read: (piece: CallPiece) => string | undefined) =>
        own.map((piece) => read(piece) ?? '').join('');
      const name = all((piece) => piece.function?.name);
      try {
        const input = JSON.parse(all((piece) => piece.function?.arguments) || '{}');
        return { type: 'tool-call', callId: all(({ id }) => id) || randomUUID(), name, input };
      } catch {
        // The chat asks again, and tells the model why.
        throw this.#error('incomplete', 'call', `the arguments of ${name} are no JSON`, {
          reason: 'MALFORMED_FUNCTION_CALL',
        });
      }
    });
  }

  #post(request: ModelRequest, signal: AbortSignal | undefined): Promise<Response> {
    const { apiKey, baseUrl } = this.#options;
    return fetch(`${baseUrl.replace(/\/$/, '')}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(apiKey && { authorization: `Bearer ${apiKey}` }) },
      body: JSON.stringify({
        ...toBody(request),
        ...request.providerOptions?.[this.provider],
      }),
      signal: signal ?? null,
    });
  }

  async #refusal(response: Response): Promise<ModelCallError> {
    const { headers, status } = response;
    const body = await response.text();
    const rule = failureRules.find(({ when }) => when.test(`${status} ${body}`));
    const { kind, scope } = rule ?? { kind: 'invalid-request', scope: 'call' };
    const seconds = Number(headers.get('retry-after') ?? Number.NaN);
    return this.#error(kind, scope, `HTTP ${status}: ${messageIn(body)}`, {
      status,
      ...(seconds >= 0 && { retryAfterMs: Math.ceil(seconds * 1000) }),
    });
  }

  #error(kind: Failure['kind'], scope: Failure['scope'], what: string, more: Partial<Failure> = {}) {
    const { apiKey, baseUrl } = this.#options;
    // Some servers repeat the key. Before the cut: nothing would recognize half a key.
    const safe = (apiKey ? what.replaceAll(apiKey, '***') : what).slice(0, 300);
    return new ModelCallError({ kind, scope, message: `The call to ${baseUrl} failed (${safe}).`, ...more });
  }
}

/** By status and body; the first that matches decides. The scope says what the chat has to avoid next. */
const failureRules: readonly (Pick<Failure, 'kind' | 'scope'> & { readonly when: RegExp })[] = [
  { when: /^40[13] /, kind: 'auth', scope: 'key' },
  { when: /^402 |^429 .*insufficient_quota/s, kind: 'billing', scope: 'project' },
  { when: /^404 /, kind: 'model-unavailable', scope: 'model' },
  { when: /^413 |^400 .*context_length_exceeded/s, kind: 'too-large', scope: 'call' },
  { when: /^429 /, kind: 'rate-limit', scope: 'project-model' },
  { when: /^(?:503|529) /, kind: 'overloaded', scope: 'model' },
  { when: /^5/, kind: 'internal', scope: 'model' },
];

const finishReasons: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  tool_calls: 'stop',
  length: 'max-tokens',
};

/** The server-sent events of the reply, parsed. Leaving the loop closes the connection. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Chunk> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const data = /^data: ?(.*)$/.exec(line.trimEnd())?.[1];
      if (data === '[DONE]') return;
      if (data) yield JSON.parse(data);
    }
  }
}

function toUsage(usage: NonNullable<Chunk['usage']>): Usage {
  const { completion_tokens: outputTokens, prompt_tokens: inputTokens, total_tokens: totalTokens } = usage;
  return { inputTokens, outputTokens, thoughtTokens: 0, totalTokens };
}

/** The server's own sentence, whatever shape its error has. */
const messageIn = (body: string) => /"message"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(body)?.[1] ?? body;

/** `fetch` hides the reason below `TypeError: fetch failed`; a parser's quotation may hold half a key. */
const reasonOf = (error: unknown) =>
  error instanceof SyntaxError ? 'broken JSON' : String((error as Error).cause ?? error);
