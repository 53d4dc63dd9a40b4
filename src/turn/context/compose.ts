import { estimateTextTokens } from '../../core/estimate-tokens.js';
import type { PreparedMedia } from '../../core/media.js';
import type { RecalledTurn, Turn } from '../../core/turn.js';
import type { ConversationSummary } from '../../memory/memory-store.js';
import type { ModelMessage, ModelPart } from '../../model/chat-model.js';
import { labelReattached, mediaParts, quoteNotes, quoteTurn, quoteTurns } from './describe.js';
import { fitSummary } from './fit-summary.js';
import { estimateFileTokens } from './generated-files.js';
import { estimateMessageTokens, fitHistory, type HistoryOptions, type SentTurn } from './history.js';

/** How much of memory may go into a request, in tokens. */
interface ContextBudget {
  readonly recentTokens: number;
  readonly recallTokens: number;
  readonly summary?: { readonly maxTokens: number } | undefined;
}

export interface ContextInput {
  readonly prompt: string;
  readonly media: readonly PreparedMedia[];
  /** Attachments of earlier turns that are attached again. */
  readonly reattached?: readonly ReattachedMedia[] | undefined;
  /** Oldest first. */
  readonly recent: readonly Turn[];
  /** Of the recent turns. */
  readonly history?: HistoryOptions | undefined;
  /** The recent turns as they are sent, if that is known already. */
  readonly sent?: readonly SentTurn[] | undefined;
  /** Best first; turns that are also recent are left out. */
  readonly recalled: readonly RecalledTurn[];
  /** Summary of the first turns. */
  readonly summary?: ConversationSummary | undefined;
  readonly budget: ContextBudget;
}

/** An attachment of an earlier turn, and when it was attached, in milliseconds since the epoch. */
export interface ReattachedMedia {
  readonly media: PreparedMedia;
  readonly at: number;
}

export interface ComposedContext {
  readonly messages: readonly ModelMessage[];
  readonly estimatedTokens: number;
  /** The recalled turns that fitted, oldest first. */
  readonly recalled: readonly RecalledTurn[];
  readonly recentTurns: number;
  /** How many of the first turns the request holds as a summary. */
  readonly summarizedTurns: number;
}

/** Takes the recalled turns that fit, in rank order; returns them oldest first. */
function fitRecalled(
  recalled: readonly RecalledTurn[],
  recent: readonly Turn[],
  tokens: number,
): readonly RecalledTurn[] {
  const shown = new Set(recent.map((turn) => turn.id));
  let left = tokens;
  const fitting = recalled.filter(({ turn }) => {
    if (shown.has(turn.id)) return false;
    const cost = estimateTextTokens(quoteTurn(turn));
    if (cost > left) return false;
    left -= cost;
    return true;
  });
  return fitting.sort((a, b) => a.turn.createdAt - b.turn.createdAt);
}

function fitNotes({ budget, summary }: ContextInput): ConversationSummary | undefined {
  if (summary === undefined || budget.summary === undefined) return undefined;
  const text = fitSummary(summary.text, budget.summary.maxTokens);
  return text === '' ? undefined : { ...summary, text };
}

/**
 * Builds the messages of one request: recent turns in their own roles, then one user message that
 * holds the summary and the recalled turns as quotations, the media with their timestamps (earlier ones
 * first), and last the prompt.
 */
export function composeContext(input: ContextInput): ComposedContext {
  const sent = input.sent ?? fitHistory(input.recent, input.budget.recentTokens, input.history);
  const recent = sent.map(({ turn }) => turn);
  const recalled = fitRecalled(input.recalled, recent, input.budget.recallTokens);
  const notes = fitNotes(input);
  const lastParts: ModelPart[] = [];
  if (notes !== undefined) lastParts.push({ type: 'text', text: quoteNotes(notes) });
  if (recalled.length > 0) {
    lastParts.push({ type: 'text', text: quoteTurns(recalled.map(({ turn }) => turn)) });
  }
  for (const { at, media } of input.reattached ?? []) {
    lastParts.push({ type: 'text', text: labelReattached(media, at) }, ...mediaParts(media));
  }
  for (const media of input.media) lastParts.push(...mediaParts(media));
  // Providers refuse an empty text.
  if (input.prompt.trim() !== '') lastParts.push({ type: 'text', text: input.prompt });

  const asked: ModelMessage = { role: 'user', parts: lastParts };
  const messages: readonly ModelMessage[] = [...sent.flatMap((turn) => turn.messages), asked];
  const allMedia = [...(input.reattached ?? []).map(({ media }) => media), ...input.media];
  const files = [...(input.history?.files?.values() ?? [])];
  const estimatedTokens =
    allMedia.reduce((sum, media) => sum + media.estimatedTokens, 0) +
    files.reduce((sum, file) => sum + estimateFileTokens(file.mimeType, file.data.byteLength), 0) +
    sent.reduce((sum, turn) => sum + turn.estimatedTokens, estimateMessageTokens(asked));
  const summarizedTurns = notes?.turns ?? 0;
  return {
    messages,
    estimatedTokens,
    recalled,
    recentTurns: recent.length,
    summarizedTurns,
  };
}
