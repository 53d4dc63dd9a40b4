import { emulatedModel } from '../models/emulated-models.js';
import { invalidArgument } from '../wire/error-bodies.js';
import type { WireContent, WireErrorBody, WireGenerateRequest } from '../wire/messages.js';
import { checkHistory } from './check-history.js';
import { checkModelRules } from './check-model-rules.js';
import { checkSignatures, type SignatureRules } from './check-signatures.js';

/** The 400 of Gemini for a request that it does not take; `undefined` if it takes it. */
export function checkRequest(request: WireGenerateRequest, rules: SignatureRules): WireErrorBody | undefined {
  const contents = Array.isArray(request.contents) ? request.contents : [];
  const model = emulatedModel(rules.model);
  const message =
    checkContents(contents) ??
    (model && checkModelRules(request, rules.model, model)) ??
    checkHistory(contents) ??
    checkSignatures(contents, rules, model);
  return message === undefined ? undefined : invalidArgument(message);
}

/** Fields of a part of which it must have one. */
const kinds = [
  'text',
  'inlineData',
  'fileData',
  'functionCall',
  'functionResponse',
  'executableCode',
  'codeExecutionResult',
] as const;

function checkContents(contents: readonly WireContent[]): string | undefined {
  if (!contents.some((content) => content.parts?.length))
    return '* GenerateContentRequest.contents: contents is not specified\n';
  for (const [at, { parts = [], role }] of contents.entries()) {
    const where = `* GenerateContentRequest.contents[${at}]`;
    if (parts.length === 0) return `${where}.parts: contents.parts must not be empty.\n`;
    if (role !== undefined && !['user', 'model', 'function'].includes(role))
      return 'Please use a valid role: user, model.';
    // Steps of agentic video come back in answers, but no request may hold them.
    if (parts.some(({ toolCall, toolResponse }) => toolCall ?? toolResponse))
      return 'Request contains an invalid argument.';
    const empty = parts.findIndex((part) => kinds.every((kind) => part[kind] === undefined));
    if (empty >= 0)
      return `${where}.parts[${empty}].data: required oneof field 'data' must have one initialized field\n`;
  }
  return undefined;
}
