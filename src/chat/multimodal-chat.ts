import { randomUUID } from 'node:crypto';
import type { AbortOptions } from '../core/call-options.js';
import { type ConversationName, withTenant } from '../core/conversation.js';
import { Emitter } from '../core/emitter.js';
import { ConfigurationError, MultimodalChatError } from '../core/errors.js';
import type { Turn } from '../core/turn.js';
import type { ForgetTarget } from '../memory/memory-store.js';
import type { Call } from '../turn/call-scope.js';
import { openCall } from '../turn/call-scope.js';
import type { ChatEvents } from '../turn/chat-events.js';
import type { ChatStreamEvent, Reply } from '../turn/reply.js';
import type { TurnDeps } from '../turn/run-turn.js';
import { runTurn } from '../turn/run-turn.js';
import type { ChatRequest, MultimodalChatOptions } from './chat-options.js';
import type { ChatStats } from './chat-stats.js';
import type { ChatParts } from './default-parts.js';
import { makeParts } from './default-parts.js';
import type { ResolvedOptions } from './parse-options.js';
import { resolveOptions, resolveRequest } from './parse-options.js';
import { makeRetention, type Retention } from './retention.js';
import { makeRollingSummary, type RollingSummary } from './rolling-summary.js';
import { exportSession, importSession, transferable } from './transcript-transfer.js';

const defaultHistoryTurns = 100;

/**
 * Multimodal Gemini chat: a prompt with pictures, clips, recordings or documents goes in, an answer
 * comes back as a stream. Composes a `KeyPool`, a `MemoryStore`, a `MediaProcessor` and a
 * `RetryPolicy`, each of which can be injected.
 *
 * Any number of calls may run at once. Close it when done, or declare it with `await using`.
 *
 * @example
 * ```ts
 * const chat = new MultimodalChat();
 * const reply = await chat.send({ sessionId: 'trip', prompt: 'What happens here?', media: ['clip.mp4'] });
 * console.log(reply.text);
 * await chat.close();
 * ```
 */
export class MultimodalChat implements AsyncDisposable {
  readonly #options: ResolvedOptions;
  readonly #parts: ChatParts;
  readonly #answerParts: TurnDeps;
  readonly #events = new Emitter<ChatEvents>();
  readonly #running = new Set<Call>();
  readonly #startedAt: number;
  readonly #unsubscribe: (() => void) | undefined;
  readonly #retention: Retention | undefined;
  readonly #summary: RollingSummary | undefined;
  #total = 0;
  readonly #outcomes = { succeeded: 0, failed: 0, left: 0 };
  #hedged = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @throws ConfigurationError when an option is not valid, or when there is neither a key nor an
   * injected key pool or model.
   */
  constructor(options: MultimodalChatOptions = {}) {
    this.#options = resolveOptions(options);
    this.#parts = makeParts(this.#options);
    this.#answerParts = { ...this.#parts, events: this.#events, options: this.#options };
    this.#startedAt = this.#options.clock.now();
    this.#retention = makeRetention(this.#options, this.#events, (before) => this.forget({ before }));
    this.#summary = makeRollingSummary(this.#answerParts);
    this.#unsubscribe = this.#parts.keyPool.onEvent?.((event) => this.#events.emit('key', event));
  }

  /** Calls `listener` on every such event. What it throws becomes a process warning. */
  on<Name extends keyof ChatEvents>(event: Name, listener: ChatEvents[Name]): this {
    this.#events.on(event, listener);
    return this;
  }

  /** Like `on`, for the next event only. */
  once<Name extends keyof ChatEvents>(event: Name, listener: ChatEvents[Name]): this {
    this.#events.once(event, listener);
    return this;
  }

  off<Name extends keyof ChatEvents>(event: Name, listener: ChatEvents[Name]): this {
    this.#events.off(event, listener);
    return this;
  }

  /**
   * Asks and resolves with the whole answer. An answer that broke off is begun anew without a trace.
   *
   * @throws InvalidInputError, MediaError: the request cannot be served as it is.
   * @throws BlockedError: the prompt or the answer was refused.
   * @throws KeyPoolExhaustedError, ModelCallError, IncompleteReplyError, TimeoutError: no answer could
   * be had, after everything that could be ridden out.
   * @throws MemoryError: the conversation so far could not be read.
   * The reason of the caller's `signal` is rethrown untouched.
   */
  async send(request: ChatRequest): Promise<Reply> {
    for await (const part of this.stream(request)) if (part.type === 'done') return part.reply;
    throw new ConfigurationError('The stream ended without a reply: the injected model is broken.');
  }

  /**
   * Asks and yields the answer as it comes. `done` is yielded once the turn is durably stored.
   * Leaving the loop early cancels the request and stores nothing.
   *
   * @throws The same as `send`, from the iteration.
   */
  async *stream(request: ChatRequest): AsyncGenerator<ChatStreamEvent, void, undefined> {
    const call = this.#open(request);
    let outcome: 'succeeded' | 'failed' | 'left' = 'left';
    const { conversation, turnId } = call;
    try {
      for await (const part of runTurn(this.#answerParts, call)) {
        if (part.type === 'done') outcome = 'succeeded';
        else if (part.type === 'attempt' && part.isHedge) this.#hedged += 1;
        yield part;
      }
    } catch (error) {
      outcome = 'failed';
      const { sessionId } = conversation;
      if (MultimodalChatError.isInstance(error)) this.#events.emit('failure', { sessionId, turnId, error });
      throw error;
    } finally {
      call.end({ isComplete: outcome === 'succeeded' });
      this.#running.delete(call);
      this.#outcomes[outcome] += 1;
      if (outcome === 'succeeded') this.#summary?.consider(conversation, turnId);
      if (this.#running.size === 0) this.#idle?.();
    }
  }

  /** The turns of a conversation, oldest first; at most the last `limit` (default 100). Empty with memory off. */
  async history(
    conversation: ConversationName,
    options: AbortOptions & { readonly limit?: number | undefined } = {},
  ): Promise<readonly Turn[]> {
    const { memory } = this.#parts;
    if (memory === undefined) return [];
    const { limit = defaultHistoryTurns, signal } = options;
    return memory.recent(withTenant(conversation), { limit, signal });
  }

  /**
   * Removes a conversation, a tenant, or everything before a date, for good. Resolves with how many
   * turns went.
   */
  async forget(
    target: ConversationName | { readonly tenant: string } | { readonly before: Date },
  ): Promise<number> {
    const { archive, memory } = this.#parts;
    if (memory === undefined) return 0;
    const resolved: ForgetTarget = 'sessionId' in target ? withTenant(target) : target;
    // First what depends on the turns: were it to fail in between, the turns still say what is to go.
    await archive?.forget(resolved);
    return memory.forget(resolved);
  }

  /**
   * A conversation as JSON lines: its turns, then the attachments that are kept of it. Each string is one
   * line. The names of tenant and session are not in it.
   *
   * @throws MemoryError when memory is off or cannot be read.
   * @example
   * ```ts
   * await pipeline(chat.exportSession({ sessionId: 'trip' }), createWriteStream('trip.jsonl'));
   * ```
   */
  exportSession(conversation: ConversationName): AsyncGenerator<string, void, undefined> {
    const { archive, memory } = this.#parts;
    return exportSession(transferable(memory, archive), withTenant(conversation));
  }

  /**
   * Adds an exported conversation to one here, usually a new one. Turns that it has already are left as
   * they are. Resolves with how many turns were read.
   *
   * @param lines Pieces of the export, of any size.
   * @throws InvalidInputError that names the first line that is not as exported.
   * @throws MemoryError when memory is off or cannot be written.
   */
  async importSession(
    conversation: ConversationName,
    lines: Iterable<string> | AsyncIterable<string>,
  ): Promise<number> {
    const { archive, memory } = this.#parts;
    return importSession(transferable(memory, archive), withTenant(conversation), lines);
  }

  async stats(): Promise<ChatStats> {
    const [keys, memory, mediaArchive] = await Promise.all([
      this.#parts.keyPool.stats(),
      this.#parts.memory?.stats(),
      this.#parts.archive?.stats(),
    ]);
    const calls = {
      total: this.#total,
      inFlight: this.#running.size,
      succeeded: this.#outcomes.succeeded,
      failed: this.#outcomes.failed,
      hedged: this.#hedged,
    };
    const summaries = this.#summary?.stats();
    return { keys, memory, mediaArchive, summaries, calls, startedAt: this.#startedAt };
  }

  /**
   * Cancels running calls and closes the parts that this chat made; injected parts stay open. Nothing
   * acknowledged is pending by then. Calling it again waits for the same closing.
   */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #shutDown(): Promise<void> {
    for (const call of this.#running) {
      call.abort(new ConfigurationError('The chat was closed while the call was running.'));
    }
    if (this.#running.size > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    this.#unsubscribe?.();
    await this.#retention?.stop();
    await this.#summary?.close();
    const closings = await Promise.allSettled(this.#parts.owned.map((part) => part.close()));
    for (const closing of closings) if (closing.status === 'rejected') throw closing.reason;
  }

  #open(request: ChatRequest): Call {
    if (this.#closing) throw new ConfigurationError('This chat is closed. Make a new MultimodalChat.');
    const resolved = resolveRequest(request);
    const { callMs } = this.#options.timeouts;
    const scope = openCall(this.#options.clock, resolved.timeoutMs ?? callMs, resolved.signal);
    const call: Call = {
      ...scope,
      request: resolved,
      conversation: { tenant: resolved.tenant, sessionId: resolved.sessionId ?? randomUUID() },
      turnId: resolved.turnId ?? randomUUID(),
    };
    this.#running.add(call);
    this.#total += 1;
    this.#retention?.start();
    return call;
  }
}
