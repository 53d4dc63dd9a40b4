import type { Clock } from '../../core/clock.js';
import { systemClock } from '../../core/clock.js';
import { BlockedError, ModelCallError } from '../../core/errors.js';
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
import type { AttemptTimeouts } from './attempt-watch.js';
import { AttemptWatch } from './attempt-watch.js';
import { defaultChatModel, defaultFallbackModels, defaultSummaryModel } from './default-models.js';
import { capabilitiesOf, geminiModelNames } from './gemini-capabilities.js';
import type { GeminiEndpoint } from './gemini-clients.js';
import { GeminiClients } from './gemini-clients.js';
import { GeminiExchange } from './gemini-exchange.js';
import { GeminiFiles } from './gemini-files.js';
import { providerName } from './gemini-parts.js';
import { toGeminiParameters } from './gemini-request.js';
import { ReplyReader } from './read-reply.js';

export interface GeminiModelOptions extends GeminiEndpoint {
  /** Answers unless a call names another. Default: `GEMINI_MODEL`, else `gemini-3.8-flash`. */
  readonly model?: string | undefined;
  /**
   * Further key values that nothing may show, beside that of the call: asked for when a call fails.
   * Default none.
   */
  readonly secrets?: (() => readonly string[]) | undefined;
  /** How long one call may take; each limit has its own default. */
  readonly timeouts?: { readonly [Limit in keyof AttemptTimeouts]?: number | undefined } | undefined;
  /**
   * How long an uploaded file stays with Gemini after it was last used, in milliseconds. Default ten
   * minutes, so that retries and follow-ups find it. `close` deletes it at once.
   */
  readonly keepUploadsMs?: number | undefined;
  /** Default the machine's. */
  readonly clock?: Clock | undefined;
}

/** The service does not find an uploaded file in the key's project. */
const fileGone = 'FILE_NOT_ACCESSIBLE';

/** Given to the SDK in place of a reply that is read here. Only its status is looked at. */
const handedOver = new Response();

/**
 * Gemini through `@google/genai`, with `generateContent` and server-sent events.
 *
 * The SDK builds and sends the request. The body of the reply is read here and not by the SDK's
 * stream, which drops `event: error`, takes a stream without a finish reason for a whole answer, and
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
  readonly #timeouts: AttemptTimeouts;
  readonly #clock: Clock;

  /** @throws ConfigurationError when the base URL is not one. */
  constructor(options: GeminiModelOptions = {}) {
    this.models = {
      default: options.model ?? (process.env.GEMINI_MODEL?.trim() || defaultChatModel),
      fallbacks: defaultFallbackModels,
      summary: defaultSummaryModel,
      others: geminiModelNames,
    };
    this.#clients = new GeminiClients(options);
    this.#secrets = options.secrets ?? (() => []);
    this.#timeouts = {
      firstTokenMs: options.timeouts?.firstTokenMs ?? 60_000,
      betweenChunksMs: options.timeouts?.betweenChunksMs ?? 30_000,
      totalMs: options.timeouts?.totalMs ?? 300_000,
    };
    this.#clock = options.clock ?? systemClock;
    this.#files = new GeminiFiles({
      clients: this.#clients,
      clock: this.#clock,
      keepMs: options.keepUploadsMs ?? 600_000,
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
   * @throws BlockedError when the prompt or the answer was refused.
   */
  stream(request: ModelRequest, options: ModelStreamOptions): AsyncGenerator<ModelEvent, void, undefined> {
    const uploads = uploadsOf(request);
    return uploads.length === 0
      ? this.#stream(request, options)
      : this.#streamWith(uploads, request, options);
  }

  async close(): Promise<void> {
    await this.#files.close();
    this.#clients.clear();
  }

  async *#streamWith(
    uploads: readonly UploadPart[],
    request: ModelRequest,
    { apiKey = '', project = apiKey, signal }: ModelStreamOptions,
  ): AsyncGenerator<ModelEvent, void, undefined> {
    signal?.throwIfAborted();
    const uris = await Promise.all(
      uploads.map((part) => this.#files.uriOf(part, { apiKey, project, signal })),
    );
    const stored = new Map(uploads.map((part, index) => [part, uris[index] ?? '']));
    try {
      yield* this.#stream(withFiles(request, stored), { apiKey, signal });
    } catch (error) {
      if (!ModelCallError.isInstance(error) || error.failure.reason !== fileGone) throw error;
      // Deleted or expired behind our back: the next attempt uploads it again.
      this.#files.forget(uploads, project);
      throw new ModelCallError({ ...error.failure, kind: 'incomplete' });
    }
  }

  async *#stream(
    request: ModelRequest,
    { apiKey = '', signal }: ModelStreamOptions,
  ): AsyncGenerator<ModelEvent, void, undefined> {
    signal?.throwIfAborted();
    const watch = new AttemptWatch(this.#clock, this.#timeouts, signal);
    const redactor = this.#redactor(apiKey);
    const exchange = new GeminiExchange(watch.signal, redactor);
    let isAnswered = false;
    try {
      const response = await this.#send(request, apiKey, exchange);
      const reply = new ReplyReader(redactor);
      const body = response.body?.getReader();
      while (body && !reply.isOver) {
        watch.awaitChunk();
        const { done, value } = await body.read();
        if (done) {
          isAnswered = true;
          break;
        }
        const events = reply.push(value);
        watch.gotChunk(events.length > 0);
        for (const event of events) yield event;
      }
      for (const event of reply.drain()) yield event;
      yield reply.finish();
    } catch (error) {
      const explained = watch.explain();
      if (explained) throw explained.thrown;
      throw BlockedError.isInstance(error) ? error : exchange.toPublicError(error);
    } finally {
      watch.close(isAnswered);
    }
  }

  #redactor(apiKey: string): Redactor {
    return new Redactor(() => [apiKey, ...this.#secrets()]);
  }

  async #send(request: ModelRequest, apiKey: string, exchange: GeminiExchange): Promise<Response> {
    const client = await this.#clients.get(apiKey);
    const parameters = toGeminiParameters(request);
    let response = handedOver;
    parameters.config.httpOptions = {
      fetch: async (url, init) => {
        response = await exchange.fetch(url, init);
        return handedOver;
      },
    };
    await client.models.generateContentStream(parameters);
    return response;
  }
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
