import { LRUCache } from 'lru-cache';
import { exponentialDelayMs } from '../core/backoff.js';
import { wallTime } from '../core/clock.js';
import { KeyPoolExhaustedError, MemoryError } from '../core/errors.js';
import type { Conversation, Turn } from '../core/turn.js';
import type { ConversationSummaries, ConversationSummary, MemoryStore } from '../memory/memory-store.js';
import { BackoffRetryPolicy } from '../retry/backoff-retry-policy.js';
import { openCall } from '../turn/call-scope.js';
import { dropBrokenSentence, fitSummary } from '../turn/context/fit-summary.js';
import { fewestTurnTokens, fitRecent } from '../turn/context/history.js';
import { estimateRequestTokens, summaryRequest, turnsToSummarize } from '../turn/context/summary.js';
import { type Answer, answerRequest } from '../turn/generate/generate.js';
import { Spans } from '../turn/spans.js';
import type { TurnDeps } from '../turn/turn-deps.js';
import type { SummarySettings } from '../turn/turn-request.js';
import type { SummaryStats } from './chat-stats.js';

/** How long a call may wait for spare quota, and how long it may take altogether. */
const longestWaitMs = 30_000;
const longestCallMs = 120_000;
/** Summaries made at the same time; others wait for a later answer. */
const mostAtOnce = 4;
/** How long a conversation is skipped after a failure; doubles up to the longest. */
const firstPauseMs = 60_000;
const longestPauseMs = 3_600_000;
const pausesKept = 10_000;

interface Pause {
  readonly failures: number;
  readonly until: number;
}

interface RollingSummaryOptions extends Pick<TurnDeps, 'events' | 'keyPool' | 'models' | 'settings'> {
  readonly memory: MemoryStore;
  readonly summaries: ConversationSummaries;
  readonly summary: SummarySettings;
}

/**
 * Extends the summary of a conversation in the background, once enough turns are no longer sent verbatim.
 * Failures are emitted as `failure`, never affect an answer, and are retried after a later one.
 */
export class RollingSummary {
  readonly #options: RollingSummaryOptions;
  readonly #retry = new BackoffRetryPolicy({ maxAttempts: 2 });
  readonly #stop = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  readonly #pauses = new LRUCache<string, Pause>({ max: pausesKept });
  #made = 0;
  #failed = 0;
  #postponed = 0;
  #lastError: { readonly at: number; readonly message: string } | undefined;

  constructor(options: RollingSummaryOptions) {
    this.#options = options;
  }

  /** Extends the summary in the background if enough turns have been added. @param turnId The turn just answered. */
  consider(conversation: Conversation, turnId: string): void {
    const key = JSON.stringify([conversation.tenant, conversation.sessionId]);
    const { clock } = this.#options.settings;
    if (this.#stop.signal.aborted || this.#running.has(key) || this.#running.size >= mostAtOnce) return;
    if (clock.now() < (this.#pauses.get(key)?.until ?? 0)) return;
    const work = this.#extend(conversation, turnId)
      .then(
        () => void this.#pauses.delete(key),
        (error: unknown) => this.#explain(key, conversation, turnId, error),
      )
      .finally(() => this.#running.delete(key));
    this.#running.set(key, work);
  }

  stats(): SummaryStats {
    return {
      made: this.#made,
      failed: this.#failed,
      postponed: this.#postponed,
      lastErrorAt: this.#lastError?.at ?? null,
      lastError: this.#lastError?.message ?? null,
    };
  }

  /** Aborts what is running. */
  async close(): Promise<void> {
    this.#stop.abort(new DOMException('The chat was closed.', 'AbortError'));
    await Promise.all(this.#running.values());
  }

  async #extend(conversation: Conversation, turnId: string): Promise<void> {
    const { events, memory, settings, summaries, summary: options } = this.#options;
    const { recentTokens, recentTurns } = settings.context;
    const { signal } = this.#stop;
    // Callers who wait for an answer go first.
    await new Promise((resolve) => setImmediate(resolve));
    const summary = await summaries.read(conversation, { signal });
    const limit = recentTurns + Math.ceil(options.everyTokens / fewestTurnTokens);
    const uncovered = await summaries.turnsAfterSummary(conversation, { limit, signal });
    const latest = await memory.recent(conversation, { limit: recentTurns, signal });
    const recent = fitRecent(latest, recentTokens);
    const turns = turnsToSummarize({ recent, uncovered }, options.everyTokens);
    const last = turns.at(-1);
    if (last === undefined) return;

    const spans = new Spans(events, settings.clock, { conversation, turnId });
    const model = this.#model;
    const extend = async () => {
      const text = await this.#write(conversation.tenant, spans, summary, turns);
      const kept = {
        text,
        turns: (summary?.turns ?? 0) + turns.length,
        lastTurn: last.id,
        until: last.createdAt,
      };
      // Turns may have been forgotten meanwhile, or another process been faster.
      const isKept = await spans.during({ kind: 'store' }, signal, () =>
        summaries.keep(conversation, kept, { signal }),
      );
      if (isKept) this.#made += 1;
      return isKept ? turns.length : 0;
    };
    await spans.during({ kind: 'call', purpose: 'summary', model }, signal, extend, (summarizedTurns) => ({
      summarizedTurns,
    }));
  }

  get #model(): string {
    const { models, summary } = this.#options;
    const { default: name, summary: cheap = name } = models.main.model.models;
    return summary.model ?? cheap;
  }

  async #write(
    tenant: string,
    spans: Spans,
    summary: ConversationSummary | undefined,
    turns: readonly Turn[],
  ): Promise<string> {
    const { maxTokens } = this.#options.summary;
    const { providerOptions } = this.#options.settings;
    const model = this.#model;
    const request = summaryRequest({ model, maxTokens, providerOptions, summary, turns });
    const { finish, text } = await this.#ask(tenant, spans, request);
    const whole = finish.finishReason === 'max-tokens' ? dropBrokenSentence(text) : text;
    const fitting = fitSummary(whole, maxTokens);
    if (fitting !== '') return fitting;
    throw new MemoryError(
      `${model} gave no summary of at most ${maxTokens} tokens. Raise \`context.summary.maxTokens\`, or choose another model.`,
    );
  }

  async #ask(tenant: string, spans: Spans, request: ReturnType<typeof summaryRequest>): Promise<Answer> {
    const { keyPool, models, settings } = this.#options;
    const { clock } = settings;
    const scope = openCall(clock, longestCallMs, this.#stop.signal);
    let answer: Answer | undefined;
    try {
      const events = answerRequest(
        { keyPool, models, retry: this.#retry, clock },
        {
          request,
          estimatedTokens: estimateRequestTokens(request),
          tenant,
          priority: 'batch',
          startedAt: scope.startedAt,
          deadline: scope.startedAt + longestWaitMs,
          signal: scope.signal,
          spans,
          onRetry: () => undefined,
        },
      );
      let result = await events.next();
      while (!result.done) result = await events.next();
      answer = result.value;
      return answer;
    } finally {
      scope.end({ isComplete: answer !== undefined });
    }
  }

  #explain(key: string, conversation: Conversation, turnId: string, cause: unknown): void {
    if (this.#stop.signal.aborted) return;
    if (KeyPoolExhaustedError.isInstance(cause)) {
      this.#postponed += 1;
      return;
    }
    const { clock } = this.#options.settings;
    const failures = (this.#pauses.get(key)?.failures ?? 0) + 1;
    const ms = exponentialDelayMs(failures, { initialMs: firstPauseMs, maxMs: longestPauseMs });
    this.#pauses.set(key, { failures, until: clock.now() + ms });
    const message = cause instanceof Error ? cause.message : String(cause);
    this.#failed += 1;
    this.#lastError = { at: wallTime(clock), message };
    const error = new MemoryError(
      `The summary of earlier turns could not be made: ${message} Answers go on without; it is tried again after an answer in ${ms / 1000} s or later.`,
      { cause },
    );
    this.#options.events.emit('failure', { ...conversation, turnId, error });
  }
}

/** What the settings ask for, if the memory can keep it. */
export function makeRollingSummary({
  events,
  keyPool,
  memory,
  models,
  settings,
}: TurnDeps): RollingSummary | undefined {
  const { summary } = settings.context;
  const summaries = memory?.summaries;
  if (summary === undefined || memory === undefined || summaries === undefined) return undefined;
  return new RollingSummary({ events, keyPool, memory, models, settings, summary, summaries });
}
