import { isDeepStrictEqual } from 'node:util';
import { type JsonValue, type Message, type MessagePart, textOfMessages } from './message.js';
import type { TurnMedia } from './turn-media.js';
import type { Usage } from './usage.js';

/** Why a reply ended. Reasons that mean a refusal are thrown as `BlockedError` instead. */
export type FinishReason = 'stop' | 'max-tokens' | 'unknown';

/** Identifies a conversation. Both names are opaque: any non-empty string, never used as a path. */
export interface Conversation {
  readonly tenant: string;
  readonly sessionId: string;
}

/** One exchange: what the user said, what the model answered, and what happened in between. */
export interface Turn extends Conversation {
  /** Unique within the conversation; appending a known id again changes nothing. */
  readonly id: string;
  /** The turn that this one follows; the conversation begins here if it is not stored. Absent: the one stored before it. */
  readonly parentId?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** The record of the turn, in order. JSON-serializable. */
  readonly messages: readonly Message[];
  /** The user's text, for reading and search. */
  readonly prompt: string;
  /** The visible text of the answer, for reading and search; empty if only the user's message is recorded. */
  readonly reply: string;
  /** The attachments of the user's messages. */
  readonly media?: readonly TurnMedia[] | undefined;
  /** The model that answered. */
  readonly model?: string | undefined;
  readonly usage?: Usage | undefined;
}

/** A turn with its messages or its plain text; the other may be missing. */
export type TurnRecord = Omit<Turn, 'messages' | 'prompt' | 'reply'> &
  (
    | { readonly messages: readonly Message[]; readonly prompt?: string; readonly reply?: string }
    | {
        readonly messages?: undefined;
        readonly prompt: string;
        readonly reply?: string;
        /** Gemini's parts of the answer, as versions before 0.2 stored them. */
        readonly replyParts?: readonly unknown[] | undefined;
      }
  );

/**
 * Completes a turn: its messages from the plain text, or the plain text and `media` from the messages. A
 * record that has both is returned as it is, message parts of unknown types included.
 */
export function toTurn(record: TurnRecord): Turn {
  if (record.messages === undefined) return completePlain(record);
  if (isWhole(record)) return record;
  const { messages, prompt, reply } = record;
  const media = record.media ?? mediaOfMessages(messages);
  return {
    ...record,
    prompt: prompt ?? textOfMessages(messages, 'user'),
    reply: reply ?? textOfMessages(messages, 'assistant'),
    ...(media.length > 0 && { media }),
  };
}

function completePlain(record: PlainTurn): Turn {
  // What stands before a spread costs V8 nothing; what is added after it, as much as parsing the turn.
  const turn: Mutable<PlainTurn> = { messages: undefined, reply: '', ...record };
  if (turn.replyParts !== undefined) delete turn.replyParts;
  return Object.assign(turn, { messages: plainMessages(record), reply: record.reply ?? '' });
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

const isWhole = (record: TurnRecord): record is Turn =>
  record.messages !== undefined && record.prompt !== undefined && record.reply !== undefined;

/** The shortest record that `toTurn` completes to the same turn. */
export function toTurnRecord(turn: Turn): TurnRecord {
  const { messages, ...plain } = turn;
  const isPlain =
    messages === undefined || (messages.length <= 2 && isDeepStrictEqual(messages, plainMessages(turn)));
  return isPlain ? plain : turn;
}

type PlainTurn = Extract<TurnRecord, { messages?: undefined }>;

function plainMessages(record: Omit<PlainTurn, 'messages'>): readonly Message[] {
  const { media, prompt, reply = '', replyParts } = record;
  const text: MessagePart = { type: 'text', text: prompt };
  const parts = media ? [...media.map((each) => ({ type: 'media', media: each }) as const), text] : [text];
  const asked: Message = { role: 'user', parts };
  if (reply === '' && replyParts === undefined) return [asked];
  const answer: Message = { role: 'assistant', parts: reply === '' ? [] : [{ type: 'text', text: reply }] };
  return [asked, replyParts === undefined ? answer : { ...answer, ...asOfGemini(record) }];
}

/** Only Gemini answered in the versions that stored `replyParts`. */
function asOfGemini({
  model,
  replyParts,
}: Omit<PlainTurn, 'messages'>): Pick<Message, 'origin' | 'providerMetadata'> {
  const providerMetadata = { google: { parts: replyParts as readonly JsonValue[] } };
  return model === undefined
    ? { providerMetadata }
    : { origin: { provider: 'google', model }, providerMetadata };
}

function mediaOfMessages(messages: readonly Message[]): readonly TurnMedia[] {
  const ofUser = messages.filter(({ role }) => role === 'user').flatMap(({ parts }) => parts);
  return ofUser.flatMap((part) => (part.type === 'media' ? [part.media] : []));
}

/** An earlier turn that was found for a prompt. */
export interface RecalledTurn {
  readonly turn: Turn;
  /** From 0 to 1. Comparable only within one recall. */
  readonly score: number;
}
