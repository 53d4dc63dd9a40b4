import type { Clock } from '../../core/clock.js';
import { BlockedError, ClosedError, ModelCallError } from '../../core/errors.js';
import type { Failure } from '../../core/failure.js';
import { parseOptions } from '../../core/parse-options.js';
import { Redactor } from '../../core/redact.js';
import type {
  ChatModel,
  ModelCapabilities,
  ModelEvent,
  ModelNames,
  ModelPart,
  ModelRequest,
  ModelStreamOptions,
  UploadPart,
} from '../chat-model.js';
import { AttemptWatch } from './attempt-watch.js';
import { defaultFallbackModels, defaultSummaryModel } from './default-models.js';
import { GeminiClients } from './gemini-clients.js';
import { GeminiExchange } from './gemini-exchange.js';
import { GeminiFiles } from './gemini-files.js';
import {
  type GeminiModelOptions,
  geminiModelOptionsSchema,
  type ResolvedModelOptions,
} from './gemini-model-options.js';
import { providerName } from './gemini-parts.js';
import { ReplyReader } from './reply/read-reply.js';
import { capabilitiesOf, geminiModelNames } from './request/gemini-capabilities.js';
import { type GeminiParameters, toGeminiParameters } from './request/gemini-request.js';
import { patienceFor } from './request/thinking-patience.js';

/** Reason of a failure: the key's project has no such file. */
const fileNotAccessible = 'FILE_NOT_ACCESSIBLE';

/** Given to the SDK in place of a reply that is read here. The SDK only looks at its status. */
const placeholder = new Response();

/** Counting tokens takes no thought. */
const probeLimits = { firstTokenMs: 30_000, betweenChunksMs: 30_000, totalMs: 30_000 };

/**
 * Gemini through `@google/genai`, with `generateContent` and server-sent events.
 *
 * The SDK builds and sends the request. The body of the reply is read here and not by the SDK's
 * stream, which drops `event: error`, accepts a stream without a finish reason as a whole answer, and
 * parses every chunk three times.
 *
 * @example
 * ```ts
 * const model = new GeminiModel();
 * const request = { model: 'gemini-3.8-flash', messages, generation: {} };
 * for await (const event of model.stream(request, { apiKey }))
 *   if (event.type === 'text') process.stdout.write(event.text);
 * ```
 */
export class GeminiModel implements ChatModel {
  readonly provider = providerName;
  readonly models: ModelNames;
  readonly needsKey = true;
  readonly #clients: GeminiClients;
  readonly #files: GeminiFiles;
  readonly #secrets: () => readonly string[];
  readonly #timeouts: ResolvedModelOptions['timeouts'];
  readonly #clock: Clock;
  readonly #running = new Set<AttemptWatch>();
  #isClosed = false;

  /** @throws ConfigurationError that names every option that is wrong. */
  constructor(options: GeminiModelOptions = {}) {
    const parsed = parseOptions(geminiModelOptionsSchema, options, 'GeminiModel');
    this.models = {
      default: parsed.model,
      fallbacks: defaultFallbackModels,
      summary: defaultSummaryModel,
      others: geminiModelNames,
    };
    this.#clients = new GeminiClients(parsed);
    this.#secrets = parsed.secrets;
    this.#timeouts = parsed.timeouts;
    this.#clock = parsed.clock;
    this.#files = new GeminiFiles({
      clients: this.#clients,
      clock: this.#clock,
      keepMs: parsed.keepUploadsMs,
      redactorFor: (apiKey) => this.#redactor(apiKey),
    });
  }

  capabilities(model: string): ModelCapabilities {
    return capabilitiesOf(model);
  }

  projectsWith(request: ModelRequest): readonly string[] {
    const uploads = uploadsOf(request);
    return uploads.length === 0 ? [] : this.#files.projectsWith(uploads);
  }

  /**
   * One call with one key.
   *
   * @throws ModelCallError with the classified `failure`; time limits have the kind `timeout` and the
   * reason `FIRST_TOKEN`, `BETWEEN_CHUNKS` or `TOTAL`.
   * @throws InvalidInputError if `providerOptions` set what the request or the call itself decides.
   * @throws BlockedError if the prompt or the answer was refused.
   * @throws ClosedError if the model is closed, or is closed during the call.
   */
  stream(request: ModelRequest, options: ModelStreamOptions): AsyncGenerator<ModelEvent, void, undefined> {
    const uploads = uploadsOf(request);
    return uploads.length === 0
      ? this.#stream(request, options)
      : this.#streamWith(uploads, request, options);
  }

  /**
   * Counts the tokens of a word, which costs nothing and needs what an answer needs, except billing.
   *
   * @throws ClosedError if the model is closed, and the reason of the signal.
   */
  async probe(model: string, options: ModelStreamOptions): Promise<Failure | undefined> {
    const apiKey = this.#keyOf(options);
    const watch = new AttemptWatch(this.#clock, probeLimits, options.signal);
    const exchange = new GeminiExchange(watch.signal, this.#redactor(apiKey), this.#clients.fetch);
    this.#running.add(watch);
    try {
      const client = await this.#clients.get(apiKey);
      const config = { httpOptions: { fetch: exchange.fetch } };
      await client.models.countTokens({ model, contents: 'Hi', config });
      return undefined;
    } catch (error) {
      watch.signal.throwIfAborted();
      const publicError = exchange.toPublicError(error);
      if (!ModelCallError.isInstance(publicError)) throw publicError;
      return publicError.failure;
    } finally {
      this.#running.delete(watch);
      watch.close(true);
    }
  }

  /** Deletes what was uploaded. Calls in progress throw `ClosedError`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const watch of this.#running) watch.cancel(new ClosedError('model'));
    await this.#files.close();
    this.#clients.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#streamWith(
    uploads: readonly UploadPart[],
    request: ModelRequest,
    options: ModelStreamOptions,
  ): AsyncGenerator<ModelEvent, void, undefined> {
    const apiKey = this.#keyOf(options);
    const { project = apiKey, signal } = options;
    const uris = await Promise.all(
      uploads.map((part) => this.#files.uriOf(part, { apiKey, project, signal })),
    );
    const stored = new Map(uploads.map((part, index) => [part, uris[index] ?? '']));
    try {
      yield* this.#stream(withFiles(request, stored), options);
    } catch (error) {
      if (!ModelCallError.isInstance(error) || error.failure.reason !== fileNotAccessible) throw error;
      // Gemini has deleted it in the meantime: the next attempt uploads it again.
      this.#files.forget(uploads, project);
      throw new ModelCallError({ ...error.failure, kind: 'incomplete' });
    }
  }

  async *#stream(
    request: ModelRequest,
    options: ModelStreamOptions,
  ): AsyncGenerator<ModelEvent, void, undefined> {
    const apiKey = this.#keyOf(options);
    const parameters = toGeminiParameters(request);
    const patienceMs = patienceFor(parameters.config);
    const { betweenChunksMs = patienceMs, firstTokenMs = patienceMs, totalMs } = this.#timeouts;
    const limits = { firstTokenMs, betweenChunksMs, totalMs };
    const watch = new AttemptWatch(this.#clock, limits, options.signal);
    const redactor = this.#redactor(apiKey);
    const exchange = new GeminiExchange(watch.signal, redactor, this.#clients.fetch);
    const reply = new ReplyReader(redactor);
    let isAnswered = false;
    this.#running.add(watch);
    try {
      const response = await this.#send(parameters, apiKey, exchange);
      const body = response.body?.getReader();
      while (body && !reply.isOver) {
        const bytes = await nextBytes(body, watch, reply);
        if (bytes === undefined) break;
        const events = reply.push(bytes);
        watch.gotChunk(reply.hasProgress);
        for (const event of events) yield event;
      }
      isAnswered = !watch.signal.aborted && !reply.isOver;
      for (const event of reply.drain()) yield event;
      for (const event of reply.finish()) yield event;
    } catch (error) {
      const isKnown = BlockedError.isInstance(error) || ModelCallError.isInstance(error);
      // The network layer may report an abort as an error of its own.
      const isAbort = watch.signal.aborted && (watch.wasCancelled || !isKnown);
      const thrown = isAbort ? watch.signal.reason : error;
      if (watch.wasCancelled || BlockedError.isInstance(thrown)) throw thrown;
      throw withFacts(exchange.toPublicError(thrown), reply, exchange);
    } finally {
      this.#running.delete(watch);
      watch.close(isAnswered);
    }
  }

  /** The key to call with, if the call may be made at all. */
  #keyOf({ apiKey, signal }: ModelStreamOptions): string {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new ClosedError('model');
    if (apiKey !== undefined && apiKey !== '') return apiKey;
    throw new ModelCallError({
      kind: 'auth',
      scope: 'key',
      reason: 'API_KEY_UNUSABLE',
      message:
        'Gemini was called without an API key: pass `apiKey`, or use the model in a chat that has `keys`.',
    });
  }

  #redactor(apiKey: string): Redactor {
    return new Redactor(() => [apiKey, ...this.#clients.secrets, ...this.#secrets()]);
  }

  async #send(parameters: GeminiParameters, apiKey: string, exchange: GeminiExchange): Promise<Response> {
    const client = await this.#clients.get(apiKey);
    let response = placeholder;
    parameters.config.httpOptions = {
      fetch: async (url, init) => {
        response = await exchange.fetch(url, init);
        return placeholder;
      },
    };
    await client.models.generateContentStream(parameters);
    return response;
  }
}

/** The next bytes of the body; undefined at its end, and where the answer ended before its connection did. */
async function nextBytes(
  body: ReadableStreamDefaultReader<Uint8Array>,
  watch: AttemptWatch,
  reply: ReplyReader,
): Promise<Uint8Array | undefined> {
  const { endsAfterMs } = reply;
  watch.awaitChunk(endsAfterMs);
  try {
    const { done, value } = await body.read();
    return done ? undefined : value;
  } catch (error) {
    const isOver = reply.isWholeWithPending || (endsAfterMs !== undefined && watch.signal.aborted);
    if (isOver && !watch.wasCancelled) return undefined;
    throw error;
  }
}

/** The failure with the tokens that the call cost, and whether the reply had begun. */
function withFacts(error: unknown, { usage }: ReplyReader, { hasReply }: GeminiExchange): unknown {
  if (!ModelCallError.isInstance(error)) return error;
  // How far it came is known to who reads the events.
  const facts = { ...(usage && { usage }), ...(hasReply && { brokeOffAt: 0 }) };
  return new ModelCallError({ ...error.failure, ...facts });
}

function uploadsOf({ messages }: ModelRequest): readonly UploadPart[] {
  return messages.flatMap(({ parts }) => parts.filter((part) => part.type === 'upload'));
}

function withFiles(request: ModelRequest, stored: ReadonlyMap<ModelPart, string>): ModelRequest {
  const toStored = (part: ModelPart): ModelPart => {
    const uri = stored.get(part);
    if (uri === undefined || part.type !== 'upload') return part;
    return { type: 'uri', mimeType: part.mimeType, uri, excerpt: part.excerpt };
  };
  const messages = request.messages.map((message) => ({ ...message, parts: message.parts.map(toStored) }));
  return { ...request, messages };
}
