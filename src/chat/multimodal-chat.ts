import { randomUUID } from 'node:crypto';
import type { AbortOptions } from '../core/abort.js';
import { onAbort } from '../core/abort.js';
import { wallTime } from '../core/clock.js';
import type { ConversationName } from '../core/conversation.js';
import { Emitter } from '../core/emitter.js';
import { ClosedError, ConfigurationError, MemoryError, MultimodalChatError } from '../core/errors.js';
import type { AnySchema } from '../core/schema.js';
import type { Turn } from '../core/turn.js';
import type { KeyPoolStats } from '../keys/key-pool.js';
import type { StoredSession } from '../memory/memory-store.js';
import type { GeneratedFile } from '../model/chat-model.js';
import type { Call } from '../turn/call-scope.js';
import { openCall } from '../turn/call-scope.js';
import type { ChatEvents } from '../turn/chat-events.js';
import { PlainHistory } from '../turn/plain-history.js';
import type { ChatStreamEvent, Reply, ReplyWith } from '../turn/reply.js';
import { runTurn } from '../turn/run-turn.js';
import { Spans } from '../turn/spans.js';
import type { TurnDeps } from '../turn/turn-deps.js';
import type { TurnRequest } from '../turn/turn-request.js';
import type { ChatRequest, MultimodalChatOptions, ResumeRequest } from './chat-options.js';
import { ChatSession } from './chat-session.js';
import type { ChatStats } from './chat-stats.js';
import { ChatStream } from './chat-stream.js';
import type { ChatDeps } from './default-parts.js';
import { makeChatDeps } from './default-parts.js';
import { forgetTurns } from './forget-turns.js';
import { readGeneratedFile } from './generated-file.js';
import { MemoryHealthRecord } from './memory-health.js';
import type { ResolvedOptions, ResolvedRequest } from './parse-options.js';
import { resolveOptions, resolveRequest, resolveResume } from './parse-options.js';
import {
  type ForgetRequest,
  parseConversation,
  parseFileTarget,
  parseForgetRequest,
  parseHistoryOptions,
  parseImportOptions,
  parseSessionOptions,
  parseSessionsRequest,
  type SessionsRequest,
} from './parse-target.js';
import { findWaiting } from './resume.js';
import { makeRetention, type Retention } from './retention.js';
import { makeRollingSummary, type RollingSummary } from './rolling-summary.js';
import { exportSession, type ImportOptions, importSession, transferable } from './transcript-transfer.js';

const defaultHistoryTurns = 100;
/** For a chat whose models need no key. */
const noKeys: KeyPoolStats = { keys: [], queued: 0, inFlight: 0 };

/**
 * Multimodal chat: takes a prompt with pictures, clips, recordings or documents and streams the answer.
 * Composes a `ChatModel`, a `KeyPool`, a `MediaProcessor`, a `MemoryStore` and a `RetryPolicy`, each of
 * which can be injected.
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
  readonly #deps: TurnDeps;
  readonly #owned: ChatDeps['owned'];
  readonly #events = new Emitter<ChatEvents>();
  readonly #running = new Set<Call>();
  readonly #startedAt: number;
  readonly #unsubscribe: (() => void) | undefined;
  readonly #retention: Retention | undefined;
  readonly #summary: RollingSummary | undefined;
  readonly #memoryHealth: MemoryHealthRecord;
  #total = 0;
  readonly #outcomes = { succeeded: 0, failed: 0, cancelled: 0 };
  #hedged = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @throws ConfigurationError if an option is not valid or would be ignored. A missing key is reported by the
   * first call.
   */
  constructor(options: MultimodalChatOptions = {}) {
    this.#options = resolveOptions(options);
    const { owned, ...parts } = makeChatDeps(this.#options);
    this.#owned = owned;
    const plainHistory = new PlainHistory();
    const memoryHealth = new MemoryHealthRecord(() => wallTime(this.#options.clock));
    this.#memoryHealth = memoryHealth;
    this.#deps = { ...parts, plainHistory, memoryHealth, events: this.#events, settings: this.#options };
    this.#startedAt = wallTime(this.#options.clock);
    this.#retention = makeRetention(this.#options, this.#events, (before) => this.forget({ before }));
    this.#summary = makeRollingSummary(this.#deps);
    this.#unsubscribe = this.#deps.keyPool?.onEvent?.((event) => this.#events.emit('key', event));
  }

  /** Adds a listener. An error that it throws becomes a process warning. */
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
   * Sends a prompt and resolves with the whole answer. An answer that breaks off is restarted silently.
   *
   * @throws InvalidInputError, MediaError: the request itself cannot be served.
   * @throws BlockedError: the prompt or the answer was refused.
   * @throws KeyPoolExhaustedError, ModelCallError, IncompleteReplyError, TimeoutError: there was no
   * answer, after every retry and fallback.
   * @throws OutputError: the answer does not fit `output`.
   * @throws MemoryError: the conversation so far could not be read.
   * @throws ClosedError: the chat was closed.
   * The reason of the caller's `signal` is rethrown unchanged.
   */
  async send<Output extends AnySchema | undefined = undefined>(
    request: ChatRequest<Output>,
  ): Promise<ReplyWith<Output>> {
    // Not the promise of the stream, whose rejection a loop reports: that of `send` is never silent.
    return await this.stream(request).reply;
  }

  /**
   * Sends a prompt and returns the answer as a stream of events, which also has `textStream` and `reply`.
   * `done` is yielded once the turn is durably stored. Leaving the loop early cancels the request and stores
   * nothing.
   *
   * @throws The same as `send`, from the iteration.
   * @example
   * ```ts
   * const stream = chat.stream({ sessionId: 'trip', prompt: 'And then?' });
   * for await (const text of stream.textStream) process.stdout.write(text);
   * const { usage } = await stream.reply;
   * ```
   */
  stream<Output extends AnySchema | undefined = undefined>(
    request: ChatRequest<Output>,
  ): ChatStream<ReplyWith<Output>> {
    return this.#streamOf(() => this.#open(resolveRequest(request)), request.signal);
  }

  /**
   * Goes on with a turn whose reply has `pending` calls, once they are decided: at any time, from any process with
   * the same memory, until the conversation goes on. Pass the same tools. If it breaks off, call it again: what ran
   * does not run again.
   *
   * @throws InvalidInputError if the conversation has gone on, or a decision is about no call of the turn. Else the
   * same as `send`, from the iteration.
   * @example
   * ```ts
   * const { pending, turnId } = await chat.send({ sessionId: 'shop', prompt: 'Cancel my order 7.' });
   * const approvals = Object.fromEntries(pending.map(({ callId }) => [callId, true]));
   * const reply = await chat.resume({ sessionId: 'shop', turnId, approvals }).reply;
   * ```
   */
  resume<Output extends AnySchema | undefined = undefined>(
    request: ResumeRequest<Output>,
  ): ChatStream<ReplyWith<Output>> {
    return this.#streamOf(async () => {
      this.#assertOpen();
      const { approvals, results, ...rest } = resolveResume(request);
      const resume = await findWaiting(this.#deps.memory, { ...rest, approvals, results });
      return this.#open({ ...rest, prompt: resume.turn.prompt, media: [] }, resume);
    }, request.signal);
  }

  #streamOf<Answered extends Reply>(
    open: () => Call | Promise<Call>,
    signal: AbortSignal | undefined,
  ): ChatStream<Answered> {
    const controller = new AbortController();
    return new ChatStream<Answered>(this.#run(open, signal, controller.signal), (reason) =>
      controller.abort(reason),
    );
  }

  /** A handle for one conversation. */
  session(sessionId: string, options: { readonly tenant?: string | undefined } = {}): ChatSession {
    return new ChatSession(this, parseConversation({ ...parseSessionOptions(options), sessionId }));
  }

  async *#run(
    open: () => Call | Promise<Call>,
    callerSignal: AbortSignal | undefined,
    cancelSignal: AbortSignal,
  ): AsyncGenerator<ChatStreamEvent, void, undefined> {
    const opening = open();
    const call = opening instanceof Promise ? await opening : opening;
    const unlink = onAbort(cancelSignal, (reason) => call.abort(reason));
    const { conversation, turnId } = call;
    const span = call.spans.start({
      kind: 'call',
      purpose: 'answer',
      model: call.request.model ?? this.#deps.models.main.name,
    });
    let outcome: 'succeeded' | 'failed' | 'cancelled' = 'cancelled';
    try {
      for await (const event of runTurn(this.#deps, call)) {
        if (event.type === 'attempt' && event.isHedge) this.#hedged += 1;
        if (event.type === 'done') {
          outcome = 'succeeded';
          const { finishReason, model, usage } = event.reply;
          span.end('ok', { finishReason, usage, answeredBy: model });
        }
        yield event;
      }
    } catch (error) {
      const isCancelled = cancelSignal.aborted || callerSignal?.aborted === true;
      if (!isCancelled) {
        outcome = 'failed';
        span.end('failed', { error });
      }
      if (MemoryError.isInstance(error)) this.#memoryHealth.failed(error);
      if (MultimodalChatError.isInstance(error))
        this.#events.emit('failure', { ...conversation, turnId, error });
      throw error;
    } finally {
      unlink();
      span.end('cancelled');
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
    this.#assertOpen();
    const of = parseConversation(conversation);
    const { limit = defaultHistoryTurns, signal } = parseHistoryOptions(options);
    return (await this.#deps.memory?.recent(of, { limit, signal })) ?? [];
  }

  /**
   * The conversations of a tenant, those used last first: by default the latest 50. Empty with memory off.
   *
   * @throws ConfigurationError if your own `memory` cannot list them.
   * @example
   * ```ts
   * const page = await chat.sessions({ tenant: 'acme' });
   * const next = await chat.sessions({ tenant: 'acme', before: page.at(-1) });
   * ```
   */
  async sessions(request: SessionsRequest = {}): Promise<readonly StoredSession[]> {
    this.#assertOpen();
    const { tenant, ...page } = parseSessionsRequest(request);
    const { memory } = this.#deps;
    if (memory === undefined) return [];
    if (memory.sessions !== undefined) return memory.sessions(tenant, page);
    throw new ConfigurationError(
      'Your `memory` cannot list conversations: it has no `sessions`. Add the method, or use a store that has it.',
    );
  }

  /**
   * A file that the model generated in a conversation, by its fingerprint in `reply.files` or in the turn's
   * `messages`. Undefined if there is none or its bytes are no longer kept. Never an attachment of the user.
   *
   * @throws MemoryError if memory cannot be read.
   */
  async file(
    target: ConversationName & { readonly fingerprint: string },
  ): Promise<GeneratedFile | undefined> {
    this.#assertOpen();
    const { fingerprint, ...of } = parseFileTarget(target);
    const { archive, memory } = this.#deps;
    if (archive === undefined || memory === undefined) return undefined;
    return readGeneratedFile(memory, archive, of, fingerprint);
  }

  /**
   * Permanently removes turns, with their media and summaries: of a conversation or a tenant, all or those
   * before a date; those of all tenants before a date; or one turn. Media of one turn stay if another turn
   * of its conversation names them. Resolves with the number of turns removed.
   *
   * @throws InvalidInputError if a field is unknown or undefined. Nothing is removed then.
   * @example
   * ```ts
   * await chat.forget({ tenant: 'acme', before: new Date('2026-01-01') });
   * await chat.forget({ sessionId: 'trip', turnId: reply.turnId });
   * ```
   */
  async forget(target: ForgetRequest): Promise<number> {
    this.#assertOpen();
    const resolved = parseForgetRequest(target);
    const { archive, memory } = this.#deps;
    return memory === undefined ? 0 : forgetTurns(memory, archive, resolved);
  }

  /**
   * A conversation as JSON lines: its turns, then its archived attachments. Each string is one line. The
   * names of tenant and session are left out.
   *
   * @throws MemoryError if memory is off or cannot be read.
   * @example
   * ```ts
   * await pipeline(chat.exportSession({ sessionId: 'trip' }), createWriteStream('trip.jsonl'));
   * ```
   */
  exportSession(conversation: ConversationName): AsyncGenerator<string, void, undefined> {
    this.#assertOpen();
    const { archive, memory } = this.#deps;
    return exportSession(transferable(memory, archive), parseConversation(conversation));
  }

  /**
   * Appends an exported conversation to this one, usually a new one. Turns that it already has stay
   * unchanged. Resolves with the number of turns read.
   *
   * @param lines Pieces of the export, of any size.
   * @param options Whether the export is trusted. Set it only for files that users cannot have changed.
   * @throws InvalidInputError that names the first line that is not valid.
   * @throws MemoryError if memory is off or cannot be written.
   */
  async importSession(
    conversation: ConversationName,
    lines: Iterable<string> | AsyncIterable<string>,
    options: ImportOptions = {},
  ): Promise<number> {
    this.#assertOpen();
    const { archive, memory } = this.#deps;
    const parts = transferable(memory, archive);
    return importSession(parts, parseConversation(conversation), lines, parseImportOptions(options));
  }

  async stats(): Promise<ChatStats> {
    const [keys, memory, mediaArchive] = await Promise.all([
      this.#deps.keyPool?.stats() ?? noKeys,
      this.#memoryHealth.stats(this.#deps.memory),
      this.#memoryHealth.noting(this.#deps.archive?.stats()),
    ]);
    const calls = {
      total: this.#total,
      inFlight: this.#running.size,
      succeeded: this.#outcomes.succeeded,
      failed: this.#outcomes.failed,
      cancelled: this.#outcomes.cancelled,
      hedged: this.#hedged,
    };
    const summaries = this.#summary?.stats();
    return { keys, memory, mediaArchive, summaries, calls, startedAt: this.#startedAt };
  }

  /**
   * Cancels running calls and closes the parts that this chat created; injected parts stay open. Resolves
   * once everything acknowledged is written. Calling it again returns the same promise.
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
      call.abort(new ClosedError('chat'));
    }
    if (this.#running.size > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    this.#unsubscribe?.();
    await this.#retention?.stop();
    await this.#summary?.close();
    const closings = await Promise.allSettled(this.#owned.map((part) => part.close()));
    for (const closing of closings) if (closing.status === 'rejected') throw closing.reason;
  }

  #open(resolved: ResolvedRequest, resume?: TurnRequest['resume']): Call {
    this.#assertOpen();
    const { callMs } = this.#options.timeouts;
    const scope = openCall(this.#options.clock, resolved.timeoutMs ?? callMs, resolved.signal);
    const conversation = { tenant: resolved.tenant, sessionId: resolved.sessionId ?? randomUUID() };
    const turnId = resolved.turnId ?? randomUUID();
    const spans = new Spans(this.#events, this.#options.clock, { conversation, turnId });
    const call: Call = {
      ...scope,
      request: resume ? { ...resolved, resume } : resolved,
      conversation,
      turnId,
      spans,
    };
    this.#running.add(call);
    this.#total += 1;
    this.#retention?.start();
    return call;
  }

  /** @throws ClosedError */
  #assertOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('chat');
  }
}
