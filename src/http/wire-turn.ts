import type {
  AnswerInfo,
  CodePart,
  CodeResultPart,
  Message,
  MessagePart,
  RecalledTurn,
  SourcePart,
  ToolCallPart,
  ToolResultPart,
  Turn,
} from '../index.js';
import { seconds, wireTurnMedia, wireUsage } from './wire-values.js';

/** The JSON form of a stored turn: its plain text, and its messages as they are on record. */
export function wireTurn(turn: Turn): object {
  const { turn_id, ...summary } = summaryOf(turn);
  return { turn_id, parent_id: turn.parentId, ...summary, messages: turn.messages.map(wireMessage) };
}

/** The JSON form of a turn that was recalled: its plain text alone, to keep replies small. */
export const wireRecalledTurn = ({ turn, score }: RecalledTurn): object => ({ ...summaryOf(turn), score });

const summaryOf = (turn: Turn) => ({
  turn_id: turn.id,
  created_at: seconds(turn.createdAt),
  prompt: turn.prompt,
  response: turn.reply,
  model: turn.model,
  usage: turn.usage === undefined ? undefined : wireUsage(turn.usage),
  media: (turn.media ?? []).map(wireTurnMedia),
});

const wireMessage = ({ info = {}, parts, role }: Message): object => ({
  role,
  parts: parts.flatMap(wirePart),
  ...wireAnswerInfo(info),
});

/** What the provider says about an answer beside its content. */
export const wireAnswerInfo = (info: AnswerInfo): object => ({
  response_id: info.responseId,
  model_version: info.modelVersion,
  raw_finish_reason: info.rawFinishReason,
  finish_message: info.finishMessage,
  safety_ratings: info.safetyRatings,
  search_suggestions: info.searchSuggestions,
});

export const wireSource = ({ kind, license, spans, title, url }: SourcePart): object => ({
  kind,
  title,
  url,
  license,
  spans,
});

export const wireToolCall = ({ callId, input, name }: ToolCallPart): object => ({
  call_id: callId,
  name,
  input,
});

export const wireToolResult = ({ callId, isError, media, name, output }: ToolResultPart): object => ({
  call_id: callId,
  name,
  output,
  is_error: isError,
  media: media?.map(wireTurnMedia),
});

export const wireCode = ({ code, language }: Omit<CodePart, 'type'>): object => ({ language, code });

export const wireCodeResult = ({ outcome, output }: Omit<CodeResultPart, 'type'>): object => ({
  outcome,
  output,
});

/** Leaves out what only one provider understands: its metadata, and parts that consist of nothing else. */
function wirePart(part: MessagePart): readonly object[] {
  switch (part.type) {
    case 'text':
    case 'reasoning':
      return [{ type: part.type, text: part.text }];
    case 'media':
      return [{ type: part.type, media: wireTurnMedia(part.media) }];
    case 'tool-call':
      return [{ type: part.type, ...wireToolCall(part) }];
    case 'tool-result':
      return [{ type: part.type, ...wireToolResult(part) }];
    case 'file': {
      const { type, mimeType, fingerprint, bytes, name } = part;
      return [{ type, mime_type: mimeType, fingerprint, bytes, name }];
    }
    case 'source':
      return [{ type: part.type, ...wireSource(part) }];
    case 'code':
      return [{ type: part.type, ...wireCode(part) }];
    case 'code-result':
      return [{ type: part.type, ...wireCodeResult(part) }];
    default:
      return [];
  }
}
