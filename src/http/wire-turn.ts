import type { Message, MessagePart } from '../core/message.js';
import type { RecalledTurn, Turn } from '../index.js';
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

const wireMessage = ({ role, parts }: Message): object => ({ role, parts: parts.flatMap(wirePart) });

/** Leaves out what only one provider understands: its metadata, and parts that consist of nothing else. */
function wirePart(part: MessagePart): readonly object[] {
  switch (part.type) {
    case 'text':
    case 'reasoning':
      return [{ type: part.type, text: part.text }];
    case 'media':
      return [{ type: part.type, media: wireTurnMedia(part.media) }];
    case 'tool-call':
      return [{ type: part.type, call_id: part.callId, name: part.name, input: part.input }];
    case 'tool-result':
      return [
        {
          type: part.type,
          call_id: part.callId,
          name: part.name,
          output: part.output,
          is_error: part.isError,
          media: part.media?.map(wireTurnMedia),
        },
      ];
    case 'file': {
      const { type, mimeType, fingerprint, bytes, name } = part;
      return [{ type, mime_type: mimeType, fingerprint, bytes, name }];
    }
    case 'source':
      return [{ type: part.type, kind: part.kind, title: part.title, url: part.url }];
    default:
      return [];
  }
}
