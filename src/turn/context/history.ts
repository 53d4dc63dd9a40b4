import { estimateTextTokens } from '../../core/estimate-tokens.js';
import type { FilePart, Message, MessagePart, ProviderMetadata } from '../../core/message.js';
import type { Turn } from '../../core/turn.js';
import type { DataPart, ModelMessage, ModelPart } from '../../model/chat-model.js';
import { mentionMedia, nameFile } from './describe.js';
import { holdsMoreThanText, toPlain } from './plain.js';

/** Tokens that a message costs in addition to its text: role and separators. */
const tokensPerMessage = 4;
/** The least that a turn can cost. */
export const fewestTurnTokens = tokensPerMessage;

/** Generated files of earlier answers that are sent back, by their place in the record. */
export type SentFiles = ReadonlyMap<FilePart, DataPart>;

const noFiles: SentFiles = new Map();

/**
 * What goes back of a turn: text, finished tool calls, code, the files that are in `files`, each with its
 * metadata. Thoughts never do, nor a call without its result, a result without its call, or a source.
 */
function selectMessages(turn: Turn, files: SentFiles): readonly ModelMessage[] {
  const { messages } = turn;
  let mention = mentionMedia(turn);
  return messages.flatMap((message, at): readonly ModelMessage[] => {
    if (mention === '' && isText(message))
      return [message.info === undefined ? message : toModelMessage(message, message.parts)];
    const finished = withoutOpenCalls(messages[at - 1], message, messages[at + 1]);
    const parts = finished.flatMap((part): readonly ModelPart[] => {
      switch (part.type) {
        case 'text': {
          if (message.role !== 'user' || mention === '') return [part];
          const text = `${mention}${part.text}`;
          mention = '';
          return [{ ...part, text }];
        }
        case 'tool-call':
        case 'tool-result':
        case 'code':
        case 'code-result':
        case 'provider':
          return [part];
        case 'file':
          return [files.get(part) ?? nameFile(part)];
        default:
          return [];
      }
    });
    return parts.length === 0 ? [] : [toModelMessage(message, parts)];
  });
}

const toModelMessage = (
  { origin, providerMetadata, role }: Message,
  parts: readonly ModelPart[],
): ModelMessage => ({
  role,
  parts,
  ...(origin && { origin }),
  ...(providerMetadata && { providerMetadata }),
});

/** The parts of a message without calls whose result is not in the next one, and without results of no call. */
function withoutOpenCalls(
  before: Message | undefined,
  { parts }: Message,
  after: Message | undefined,
): readonly MessagePart[] {
  const ids = (message: Message | undefined, type: 'tool-call' | 'tool-result') =>
    new Set(message?.parts.flatMap((part) => (part.type === type ? [part.callId] : [])));
  const finished = { 'tool-call': ids(after, 'tool-result'), 'tool-result': ids(before, 'tool-call') };
  return parts.filter((part) => {
    if (part.type !== 'tool-call' && part.type !== 'tool-result') return true;
    // `delete` is true only once: a model takes one result for each call.
    return finished[part.type].delete(part.callId);
  });
}

/** Nearly all messages of a long conversation are. */
const isText = (message: Message): message is Message & ModelMessage =>
  message.parts.length > 0 && message.parts.every(({ type }) => type === 'text');

/** Tokens of a message as it is sent. Media are counted where they are chosen. */
export function estimateMessageTokens({ parts, providerMetadata }: ModelMessage): number {
  return parts.reduce(
    (sum, part) => sum + estimatePartTokens(part),
    tokensPerMessage + estimateMetadataTokens(providerMetadata),
  );
}

function estimatePartTokens(part: ModelPart): number {
  if (part.type === 'data' || part.type === 'uri' || part.type === 'upload') return 0;
  return estimateTextTokens(contentOf(part)) + estimateMetadataTokens(part.providerMetadata);
}

function contentOf(part: Exclude<ModelPart, { type: 'data' | 'uri' | 'upload' }>): string {
  switch (part.type) {
    case 'text':
    case 'reasoning':
      return part.text;
    case 'tool-call':
      return part.name + JSON.stringify(part.input);
    case 'tool-result':
      return part.name + JSON.stringify(part.output);
    case 'code':
      return part.code;
    case 'code-result':
      return part.output;
    case 'provider':
      return '';
  }
}

const estimateMetadataTokens = (metadata: ProviderMetadata | undefined) =>
  metadata === undefined ? 0 : estimateTextTokens(JSON.stringify(metadata));

const estimateTokens = (messages: readonly ModelMessage[]) =>
  messages.reduce((sum, message) => sum + estimateMessageTokens(message), 0);

/** Tokens of a turn's plain text. */
export function estimateTurnTokens({ messages, prompt, reply }: Turn): number {
  return estimateTextTokens(prompt) + estimateTextTokens(reply) + tokensPerMessage * messages.length;
}

/** A recent turn as it is sent. */
export interface SentTurn {
  readonly turn: Turn;
  readonly messages: readonly ModelMessage[];
  readonly estimatedTokens: number;
}

export interface HistoryOptions {
  readonly files?: SentFiles | undefined;
  /** Whether only the plain text of a turn may be sent. Default: of none. */
  readonly isPlain?: ((turn: Turn) => boolean) | undefined;
}

/**
 * The latest turns that fit the budget, oldest first; the latest one is always included, whole. Turns come
 * before metadata: what is left of the budget is for the metadata of the latest ones.
 */
export function fitHistory(
  recent: readonly Turn[],
  tokens: number,
  { files = noFiles, isPlain = () => false }: HistoryOptions = {},
): readonly SentTurn[] {
  let left = tokens;
  const fitting: {
    readonly turn: Turn;
    readonly full: readonly ModelMessage[];
    readonly plain: readonly ModelMessage[];
    readonly cost: number;
  }[] = [];
  for (const turn of [...recent].reverse()) {
    const isRefused = isPlain(turn);
    const full = selectMessages(turn, isRefused ? noFiles : files);
    const plain = holdsMoreThanText(full) ? toPlain(full, { keepsCalls: !isRefused }) : full;
    const cost = estimateTokens(plain);
    if (cost > left && fitting.length > 0) break;
    left -= cost;
    fitting.push({ turn, full: isRefused ? plain : full, plain, cost });
  }
  const sent = fitting.map(({ cost, full, plain, turn }) => {
    const more = full === plain ? 0 : estimateTokens(full) - cost;
    if (more > left) return { turn, messages: plain, estimatedTokens: cost };
    left -= more;
    return { turn, messages: full, estimatedTokens: cost + more };
  });
  return sent.reverse();
}

/** The turns of `fitHistory`. */
export const fitRecent = (
  recent: readonly Turn[],
  tokens: number,
  options?: HistoryOptions,
): readonly Turn[] => fitHistory(recent, tokens, options).map(({ turn }) => turn);
