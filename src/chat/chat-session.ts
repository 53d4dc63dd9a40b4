import type { AbortOptions } from '../core/abort.js';
import type { AnySchema } from '../core/schema.js';
import type { Conversation, Turn } from '../core/turn.js';
import type { GeneratedFile } from '../model/chat-model.js';
import type { ReplyWith } from '../turn/reply.js';
import type { ChatRequest } from './chat-options.js';
import type { ChatStream } from './chat-stream.js';
import { type ForgetRequest, parseTurnRange, type TurnRange } from './parse-target.js';
import type { ImportOptions } from './transcript-transfer.js';

/** A question without its conversation. */
export type SessionRequest<Output extends AnySchema | undefined = AnySchema | undefined> = Omit<
  ChatRequest<Output>,
  'sessionId' | 'tenant'
>;

/** What a session needs of the chat. @internal */
export interface SessionChat {
  send<Output extends AnySchema | undefined>(request: ChatRequest<Output>): Promise<ReplyWith<Output>>;
  stream<Output extends AnySchema | undefined>(request: ChatRequest<Output>): ChatStream<ReplyWith<Output>>;
  history(
    conversation: Conversation,
    options?: AbortOptions & { readonly limit?: number | undefined },
  ): Promise<readonly Turn[]>;
  file(target: Conversation & { readonly fingerprint: string }): Promise<GeneratedFile | undefined>;
  forget(target: ForgetRequest): Promise<number>;
  exportSession(conversation: Conversation): AsyncGenerator<string, void, undefined>;
  importSession(
    conversation: Conversation,
    lines: Iterable<string> | AsyncIterable<string>,
    options?: ImportOptions,
  ): Promise<number>;
}

/**
 * One conversation of a chat, by name. Holds nothing: any number of them may stand for the same conversation.
 *
 * @example
 * ```ts
 * const trip = chat.session('trip', { tenant: 'acme' });
 * const { text } = await trip.send('What happens in this clip?', { media: ['clip.mp4'] });
 * ```
 */
export class ChatSession implements Conversation {
  readonly tenant: string;
  readonly sessionId: string;
  readonly #chat: SessionChat;

  /** @internal Use `chat.session()`. */
  constructor(chat: SessionChat, { sessionId, tenant }: Conversation) {
    this.#chat = chat;
    this.sessionId = sessionId;
    this.tenant = tenant;
  }

  /** As `chat.send`, with the prompt alone or with the whole request. */
  send<Output extends AnySchema | undefined = undefined>(
    request: string | SessionRequest<Output>,
    options?: Omit<SessionRequest<Output>, 'prompt'>,
  ): Promise<ReplyWith<Output>> {
    return this.#chat.send(this.#requestOf(request, options));
  }

  /** As `chat.stream`, with the prompt alone or with the whole request. */
  stream<Output extends AnySchema | undefined = undefined>(
    request: string | SessionRequest<Output>,
    options?: Omit<SessionRequest<Output>, 'prompt'>,
  ): ChatStream<ReplyWith<Output>> {
    return this.#chat.stream(this.#requestOf(request, options));
  }

  /** As `chat.history`. */
  history(options?: AbortOptions & { readonly limit?: number | undefined }): Promise<readonly Turn[]> {
    return this.#chat.history(this.#name, options);
  }

  /** As `chat.file`: a file that the model generated, by its fingerprint. */
  file(fingerprint: string): Promise<GeneratedFile | undefined> {
    return this.#chat.file({ ...this.#name, fingerprint });
  }

  /**
   * Permanently removes the conversation, the turns `before` a date, or one turn, as `chat.forget`. Resolves with
   * the number of turns removed.
   */
  async forget(range: TurnRange = {}): Promise<number> {
    return this.#chat.forget({ ...parseTurnRange(range), ...this.#name });
  }

  /** As `chat.exportSession`. */
  export(): AsyncGenerator<string, void, undefined> {
    return this.#chat.exportSession(this.#name);
  }

  /** As `chat.importSession`. */
  import(lines: Iterable<string> | AsyncIterable<string>, options?: ImportOptions): Promise<number> {
    return this.#chat.importSession(this.#name, lines, options);
  }

  get #name(): Conversation {
    return { tenant: this.tenant, sessionId: this.sessionId };
  }

  #requestOf<Output extends AnySchema | undefined>(
    request: string | SessionRequest<Output>,
    options?: Omit<SessionRequest<Output>, 'prompt'>,
  ): ChatRequest<Output> {
    if (typeof request !== 'string') return { ...request, ...this.#name };
    return { ...options, prompt: request, ...this.#name };
  }
}
