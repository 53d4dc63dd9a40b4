import type { ModelMessage, ModelPart, ModelRequest } from '../../model/chat-model.js';
import type { ModelRoute } from './model-routes.js';

/**
 * The request as the model of an attempt can take it: media that it does not take become text, or a line
 * that says what was left out.
 */
export function fitRequest(request: ModelRequest, { model, name }: ModelRoute): ModelRequest {
  const { inline, upload = {} } = model.capabilities(name).media;
  const takes = (part: ModelPart) =>
    part.type === 'data'
      ? inline.includes(part.mimeType)
      : part.type !== 'upload' || Object.values(upload).includes(part.mimeType);
  const fit = (message: ModelMessage): ModelMessage =>
    message.parts.every(takes)
      ? message
      : { ...message, parts: message.parts.map((part) => (takes(part) ? part : inWords(part, name))) };
  return { ...request, model: name, messages: request.messages.map(fit) };
}

function inWords(part: ModelPart, model: string): ModelPart {
  const mimeType = 'mimeType' in part ? part.mimeType : part.type;
  if (part.type === 'data' && /^text\/|^application\/(?:json|xml)$/.test(mimeType)) {
    return { type: 'text', text: new TextDecoder().decode(part.data) };
  }
  return { type: 'text', text: `[left out: ${model} does not take ${mimeType}]` };
}
