import { type Message, textOfMessages } from './message.js';
import type { TurnMedia } from './turn-media.js';

/** Tokens that a reply cost, as the provider reported them. */
export interface Usage {
  readonly inputTokens: number;
  /** Visible output, without thoughts. */
  readonly outputTokens: number;
  readonly thoughtTokens: number;
  readonly totalTokens: number;
  readonly cachedInputTokens?: number | undefined;
}

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
  /** The turn that this one follows. Absent: the one stored before it. */
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

/** Completes a turn: its messages from the plain text, or its plain text from the messages. */
export function toTurn(record: TurnRecord): Turn {
  if (record.messages === undefined) {
    const { replyParts: _, ...rest } = record;
    return { ...rest, messages: plainMessages(record), reply: record.reply ?? '' };
  }
  const { messages } = record;
  const media = record.media ?? mediaOfMessages(messages);
  return {
    ...record,
    prompt: record.prompt ?? textOfMessages(messages, 'user'),
    reply: record.reply ?? textOfMessages(messages, 'assistant'),
    ...(media.length > 0 && { media }),
  };
}

/** The shortest record that `toTurn` completes to the same turn. */
export function toTurnRecord(turn: Turn): TurnRecord {
  const { messages, ...plain } = turn;
  return JSON.stringify(messages) === JSON.stringify(plainMessages(plain)) ? plain : turn;
}

type PlainTurn = Extract<TurnRecord, { messages?: undefined }>;

function plainMessages({ media = [], model, prompt, reply = '', replyParts }: PlainTurn): readonly Message[] {
  const asked: Message = {
    role: 'user',
    parts: [
      ...media.map((each) => ({ type: 'media', media: each }) as const),
      { type: 'text', text: prompt },
    ],
  };
  if (reply === '') return [asked];
  const parts = [{ type: 'text', text: reply }] as const;
  if (model === undefined) return [asked, { role: 'assistant', parts }];
  // The versions that stored `replyParts` knew only Gemini.
  const origin = { provider: 'google', model };
  const verbatim = replyParts as never;
  return [
    asked,
    {
      role: 'assistant',
      parts,
      ...(replyParts === undefined ? {} : { origin, providerMetadata: { google: { parts: verbatim } } }),
    },
  ];
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
