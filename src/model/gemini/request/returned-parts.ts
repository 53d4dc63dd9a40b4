import type { Part } from '@google/genai';
import type { ModelMessage, ModelPart } from '../../chat-model.js';
import { fromMessagePart } from '../gemini-parts.js';
import { isObject, type Json } from '../json.js';

/** Steps of tools that Google runs. Those of agentic video answer 400 when they are sent back. */
const isMediaStep = (step: unknown) =>
  isObject(step) && (step.toolType === undefined || step.toolType === 'MEDIA_PROCESSING');

const isEmptyText = (part: Part) =>
  part.text === '' && Object.keys(part).every((name) => name === 'text' || name === 'thought');

/** A part as it goes back to the model that gave it; undefined if it is of no use there. */
export function toReturnedPart(part: Parameters<typeof fromMessagePart>[0]): Part | undefined {
  const own = fromMessagePart(part);
  return own && select(own);
}

/** The same for parts as they came. None of their calls was ever answered. */
export function toReturnedParts(parts: readonly unknown[]): Part[] {
  const own = parts.filter(isObject).filter((part) => part.functionCall === undefined);
  return own.flatMap((part) => select(part as Json as Part) ?? []);
}

/**
 * Thoughts are summaries that the model does not read; their signatures stay. Pictures come again through
 * the media archive, within its budgets.
 */
function select(part: Part): Part | undefined {
  if (part.inlineData !== undefined || isEmptyText(part)) return undefined;
  // Nothing can answer a call without a name.
  if (part.functionCall !== undefined && typeof part.functionCall.name !== 'string') return undefined;
  if (isMediaStep(part.toolCall) || isMediaStep(part.toolResponse)) return undefined;
  if (part.thought !== true) return part;
  const { thoughtSignature } = part;
  return thoughtSignature === undefined ? undefined : { text: '', thought: true, thoughtSignature };
}

/** Tool calls without a result in the message after them, and results without a call before them. */
export function findUnpairedCalls(messages: readonly ModelMessage[]): ReadonlySet<ModelPart> {
  const unpaired = new Set<ModelPart>();
  let open = new Map<string, ModelPart>();
  for (const { parts } of messages) {
    const calls = new Map<string, ModelPart>();
    for (const part of parts) {
      if (part.type === 'tool-result' && !open.delete(part.callId)) unpaired.add(part);
      if (part.type !== 'tool-call') continue;
      if (calls.has(part.callId)) unpaired.add(part);
      else calls.set(part.callId, part);
    }
    for (const call of open.values()) unpaired.add(call);
    open = calls;
  }
  for (const call of open.values()) unpaired.add(call);
  return unpaired;
}
