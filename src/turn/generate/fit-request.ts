import type { JsonSchema } from '../../core/tool.js';
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

/** A request as a turn asks it: what it becomes depends on the model. */
export interface AskedRequest extends ModelRequest {
  /** JSON schema of the answer. */
  readonly output?: JsonSchema | undefined;
}

/**
 * The request as the model of an attempt can take it. Media that it does not take become text, or a line
 * that names what was left out; what only the model of an earlier answer understands is removed. A fallback
 * gets neither settings nor built-in tools that it does not have.
 */
export function fitRequest(request: AskedRequest, route: ModelRoute): ModelRequest {
  const isForeign = ({ origin, parts }: ModelMessage) =>
    origin !== undefined &&
    (origin.provider !== route.model.provider || (origin.model !== route.name && parts.some(isOfItsModel)));
  const { output, ...asked } = request;
  const capabilities = route.model.capabilities(route.name);
  const all =
    capabilities.toolResultMedia === 'inside' ? asked.messages : asked.messages.flatMap(withMediaAfter);
  const messages = toPlain(all, { isMeant: isForeign, keepsCalls: capabilities.tools ?? false });
  const fitted = {
    ...asked,
    model: route.name,
    messages: messages.map((message) => fitMedia(message, route)).filter(({ parts }) => parts.length > 0),
  };
  const settled = route.name === request.model ? fitted : fitSettings(fitted, capabilities);
  return output === undefined ? settled : withOutput(settled, output, capabilities);
}

/**
 * Where a model does not take the schema, it is told in words. So it is beside built-in tools, which are silently off
 * when JSON is asked for: https://github.com/google-gemini/cookbook/issues/1274
 */
function withOutput(
  request: ModelRequest,
  schema: JsonSchema,
  { jsonSchema }: ModelCapabilities,
): ModelRequest {
  const { builtIn, generation, tools } = request;
  if (builtIn === undefined && (jsonSchema === true || (jsonSchema === 'alone' && tools === undefined))) {
    const asJson = { responseMimeType: 'application/json', responseJsonSchema: schema };
    return { ...request, generation: { ...generation, ...asJson } };
  }
  return withInstruction(
    request,
    `Give your answer as JSON alone, without a word around it, valid against this JSON schema:\n${JSON.stringify(schema)}`,
  );
}

/** After a call that could not be read, since the same request alone leads to the same call. */
export const withAdvice = (request: ModelRequest): ModelRequest =>
  withInstruction(
    request,
    'Your last function call could not be read. Call functions with short arguments of valid JSON, or answer in words.',
  );

function withInstruction(request: ModelRequest, words: string): ModelRequest {
  const { systemInstruction } = request;
  return { ...request, systemInstruction: systemInstruction ? `${systemInstruction}\n\n${words}` : words };
}

/** Media of tool results in a message of their own. */
function withMediaAfter(message: ModelMessage): readonly ModelMessage[] {
  if (message.role !== 'tool') return [message];
  const media = message.parts.flatMap((part) => (part.type === 'tool-result' ? (part.parts ?? []) : []));
  if (media.length === 0) return [message];
  const parts = message.parts.map((part) => {
    if (part.type !== 'tool-result') return part;
    const { parts: _, ...result } = part;
    return result;
  });
  return [
    { ...message, parts },
    { role: 'user', parts: media },
  ];
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
    responseJsonSchema: jsonSchema === true || (jsonSchema === 'alone' && request.tools === undefined),
  };
  const taken = Object.entries(generation).filter(([name]) => takes[name as keyof GenerationOptions] ?? true);
  const builtIn = Object.entries(request.builtIn ?? {}).filter(([tool]) => hasTool(capabilities, tool));
  return {
    ...request,
    generation: Object.fromEntries(taken),
    builtIn: builtIn.length > 0 ? Object.fromEntries(builtIn) : undefined,
    ...(capabilities.tools !== true && { tools: undefined, toolChoice: undefined }),
  };
}

export const hasTool = ({ builtIn = [] }: ModelCapabilities, tool: string) =>
  builtIn.includes(tool as keyof BuiltInTools);

/**
 * The request with plain text in place of all that earlier answers hold beside it; undefined if it is that already.
 * Calls of the turn itself stay, without their metadata.
 */
export function withPlainHistory<Request extends ModelRequest>(request: Request): Request | undefined {
  const asked = request.messages.map(({ role }) => role).lastIndexOf('user');
  const history = request.messages.slice(0, asked);
  const steps = request.messages.slice(asked + 1);
  const isSigned = steps.some(
    ({ parts, providerMetadata }) =>
      providerMetadata !== undefined ||
      parts.some((part) => 'providerMetadata' in part && part.providerMetadata),
  );
  if (!isSigned && !holdsMoreThanText(history)) return undefined;
  const plain = toPlain(request.messages.slice(0, asked + 1), { isMeant: (each) => history.includes(each) });
  return { ...request, messages: [...plain, ...toPlain(steps, { keepsCalls: true })] };
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
