import { estimateTextTokens } from '../../core/estimate-tokens.js';
import type { PreparedMedia } from '../../core/media.js';
import type { Message, MessagePart } from '../../core/message.js';
import type { RecalledTurn, Turn } from '../../core/turn.js';
import type { ConversationSummary } from '../../memory/memory-store.js';
import type { ModelMessage, ModelPart } from '../../model/chat-model.js';
import { labelReattached, mediaParts, mentionMedia, quoteNotes, quoteTurns } from './describe.js';
import { fitSummary } from './fit-summary.js';

/** Tokens that a message costs in addition to its text: role and separators. */
const tokensPerMessage = 4;
/** The least that a turn can cost. */
export const fewestTurnTokens = tokensPerMessage;

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

/** Tokens of a turn as it is sent. */
export function estimateTurnTokens(turn: Turn): number {
  return estimateTokens(turn.messages);
}

function estimateTokens(messages: readonly (Message | ModelMessage)[]): number {
  let tokens = 0;
  for (const { parts } of messages) {
    tokens += tokensPerMessage;
    for (const part of parts) tokens += estimatePartTokens(part);
  }
  return tokens;
}

function estimatePartTokens(part: MessagePart | ModelPart): number {
  switch (part.type) {
    case 'text':
      return estimateTextTokens(part.text);
    case 'tool-call':
      return estimateTextTokens(part.name + JSON.stringify(part.input));
    case 'tool-result':
      return estimateTextTokens(part.name + JSON.stringify(part.output));
    default:
      return 0;
  }
}

/** The latest turns that fit the budget, oldest first. The latest one is always included, whole. */
export function fitRecent(recent: readonly Turn[], tokens: number): readonly Turn[] {
  let left = tokens;
  let first = recent.length;
  for (const [index, turn] of [...recent.entries()].reverse()) {
    left -= estimateTurnTokens(turn);
    if (left < 0 && first < recent.length) break;
    first = index;
  }
  return recent.slice(first);
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
    const cost = estimateTurnTokens(turn);
    if (cost > left) return false;
    left -= cost;
    return true;
  });
  return fitting.sort((a, b) => a.turn.createdAt - b.turn.createdAt);
}

/** The messages of a turn as they are sent back to a model. Sources are left out; a file becomes a line of text. */
function recentMessages(turn: Turn): readonly ModelMessage[] {
  let mention = mentionMedia(turn);
  return turn.messages.flatMap((message): readonly ModelMessage[] => {
    if (mention === '' && isPlainText(message)) return [message];
    const parts = message.parts.flatMap((part): readonly ModelPart[] => {
      switch (part.type) {
        case 'text': {
          if (message.role !== 'user' || mention === '') return [part];
          const text = `${mention}${part.text}`;
          mention = '';
          return [{ ...part, text }];
        }
        case 'reasoning':
        case 'tool-call':
        case 'tool-result':
        case 'provider':
          return [part];
        case 'file':
          return [{ type: 'text', text: `[file: ${part.name ?? part.mimeType}]` }];
        default:
          return [];
      }
    });
    return parts.length > 0 ? [{ ...message, parts }] : [];
  });
}

const isPlainText = (message: Message): message is Message & ModelMessage =>
  message.parts.length > 0 && message.parts.every(({ type }) => type === 'text');

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
  const recent = fitRecent(input.recent, input.budget.recentTokens);
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
  lastParts.push({ type: 'text', text: input.prompt });

  const messages: readonly ModelMessage[] = [
    ...recent.flatMap(recentMessages),
    { role: 'user', parts: lastParts },
  ];
  const allMedia = [...(input.reattached ?? []).map(({ media }) => media), ...input.media];
  const mediaTokens = allMedia.reduce((sum, media) => sum + media.estimatedTokens, 0);
  const summarizedTurns = notes?.turns ?? 0;
  return {
    messages,
    estimatedTokens: mediaTokens + estimateTokens(messages),
    recalled,
    recentTurns: recent.length,
    summarizedTurns,
  };
}
