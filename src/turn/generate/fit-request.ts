import type {
  BuiltInTools,
  GenerationOptions,
  ModelCapabilities,
  ModelMessage,
  ModelPart,
  ModelRequest,
} from '../../model/chat-model.js';
import { holdsMoreThanText, toPlain } from '../context/plain.js';
import type { ModelRoute } from '../model-routes.js';

/**
 * The request as the model of an attempt can take it. Media that it does not take become text, or a line
 * that names what was left out; what only the model of an earlier answer understands is removed. A fallback
 * gets neither settings nor built-in tools that it does not have.
 */
export function fitRequest(request: ModelRequest, route: ModelRoute): ModelRequest {
  const isForeign = ({ origin, parts }: ModelMessage) =>
    origin !== undefined &&
    (origin.provider !== route.model.provider || (origin.model !== route.name && parts.some(isOfItsModel)));
  const messages = toPlain(request.messages, { isMeant: isForeign, keepsCalls: true });
  const fitted = {
    ...request,
    model: route.name,
    messages: messages.map((message) => fitMedia(message, route)).filter(({ parts }) => parts.length > 0),
  };
  return route.name === request.model ? fitted : fitSettings(fitted, route.model.capabilities(route.name));
}

/** Other models of a provider ignore metadata that they do not know, but may refuse these parts. */
const isOfItsModel = ({ type }: ModelPart) => type === 'code' || type === 'code-result' || type === 'data';

function fitSettings(request: ModelRequest, capabilities: ModelCapabilities): ModelRequest {
  const { jsonSchema, modalities = ['text'], thinkingBudget, thinkingLevels = [] } = capabilities;
  const { generation } = request;
  const takes: { readonly [Name in keyof GenerationOptions]?: boolean } = {
    thinkingLevel: thinkingLevels.some((level) => level === generation.thinkingLevel),
    thinkingBudget: thinkingBudget === true,
    responseModalities: generation.responseModalities?.every((each) => modalities.includes(each)) === true,
    responseJsonSchema: jsonSchema === true,
  };
  const taken = Object.entries(generation).filter(([name]) => takes[name as keyof GenerationOptions] ?? true);
  const builtIn = Object.entries(request.builtIn ?? {}).filter(([tool]) => hasTool(capabilities, tool));
  return {
    ...request,
    generation: Object.fromEntries(taken),
    builtIn: builtIn.length > 0 ? Object.fromEntries(builtIn) : undefined,
  };
}

export const hasTool = ({ builtIn = [] }: ModelCapabilities, tool: string) =>
  builtIn.includes(tool as keyof BuiltInTools);

/** The request with plain text in place of all that earlier answers hold beside it; undefined if it is that already. */
export function withPlainHistory(request: ModelRequest): ModelRequest | undefined {
  const asked = request.messages.map(({ role }) => role).lastIndexOf('user');
  const history = request.messages.slice(0, asked);
  if (!holdsMoreThanText(history)) return undefined;
  return { ...request, messages: toPlain(request.messages, { isMeant: (each) => history.includes(each) }) };
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
