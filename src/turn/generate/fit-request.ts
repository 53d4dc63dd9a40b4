import type { ModelMessage, ModelPart, ModelRequest } from '../../model/chat-model.js';
import type { ModelRoute } from '../model-routes.js';

/**
 * The request as the model of an attempt can take it. Media that it does not take become text, or a line
 * that names what was left out; what only another provider understands is removed.
 */
export function fitRequest(request: ModelRequest, route: ModelRoute): ModelRequest {
  const messages = request.messages.map((message) => fitMedia(withoutForeign(message, route), route));
  return { ...request, model: route.name, messages: messages.filter(({ parts }) => parts.length > 0) };
}

function withoutForeign(message: ModelMessage, { model }: ModelRoute): ModelMessage {
  const { origin, parts, role } = message;
  if (origin === undefined || origin.provider === model.provider) return message;
  const own = parts.filter(({ type }) => type !== 'reasoning' && type !== 'provider');
  return { role, origin, parts: own.map(withoutMetadata) };
}

function withoutMetadata(part: ModelPart): ModelPart {
  if (!('providerMetadata' in part) || part.type === 'provider') return part;
  const { providerMetadata: _, ...plain } = part;
  return plain;
}

function fitMedia(message: ModelMessage, { model, name }: ModelRoute): ModelMessage {
  // Nearly all messages of a long conversation are text.
  if (!message.parts.some(({ type }) => type === 'data' || type === 'upload')) return message;
  const { inline, upload = {} } = model.capabilities(name).media;
  const uploads = Object.values(upload);
  // A type beside the listed ones is left to the service, as long as it takes the kind at all.
  const kinds = new Set([...inline, ...uploads].map(kindOf));
  const takes = (part: ModelPart) => {
    if (part.type === 'data') return inline.includes(part.mimeType) || kinds.has(kindOf(part.mimeType));
    return part.type !== 'upload' || uploads.includes(part.mimeType);
  };
  if (message.parts.every(takes)) return message;
  return { ...message, parts: message.parts.map((part) => (takes(part) ? part : describe(part, name))) };
}

/** `image`, `audio`, `video` or `text`; other types each stand for themselves. */
const kindOf = (mimeType: string) => /^(image|audio|video|text)\//.exec(mimeType)?.[1] ?? mimeType;

const isText = /^text\/|^application\/(?:json|xml)$/;

function describe(part: ModelPart, model: string): ModelPart {
  const mimeType = 'mimeType' in part ? part.mimeType : part.type;
  if (part.type === 'data' && isText.test(mimeType)) {
    return { type: 'text', text: new TextDecoder().decode(part.data) };
  }
  return { type: 'text', text: `[left out: ${model} does not take ${mimeType}]` };
}
