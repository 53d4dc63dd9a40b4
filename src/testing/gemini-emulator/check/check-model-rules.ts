import type { EmulatedModel } from '../models/emulated-models.js';
import type { WireGenerateRequest, WireTool } from '../wire/messages.js';

const toolNames: Readonly<Record<keyof WireTool, string>> = {
  googleSearch: 'Search Grounding',
  urlContext: 'URL context',
  codeExecution: 'Code execution',
  googleMaps: 'Google Maps grounding',
  fileSearch: 'File search',
  functionDeclarations: 'Function calling',
};

/** The message of the 400 for a setting that the model does not know. */
export function checkModelRules(
  { contents = [], systemInstruction, generationConfig = {}, tools = [] }: WireGenerateRequest,
  name: string,
  model: EmulatedModel,
): string | undefined {
  const { thinkingConfig = {}, mediaResolution, responseModalities, responseMimeType } = generationConfig;
  const { thinkingLevel, thinkingBudget } = thinkingConfig;
  const isOff = (what: string) => `${what} is not enabled for models/${name}`;
  if (thinkingLevel !== undefined && thinkingLevel !== 'THINKING_LEVEL_UNSPECIFIED') {
    if (model.thinkingLevels.length === 0) return 'Thinking level is not supported for this model.';
    if (!model.thinkingLevels.includes(thinkingLevel.toUpperCase()))
      return `Thinking level ${thinkingLevel.toUpperCase()} is not supported for this model.`;
    if (thinkingBudget !== undefined)
      return 'You can only set only one of thinking budget and thinking level.';
  }
  if (thinkingBudget !== undefined && !model.thinkingBudget)
    return 'Thinking budget is not supported for this model.';

  const ofParts = contents.some(({ parts }) => parts?.some((part) => part.mediaResolution !== undefined));
  if (ofParts && model.resolution !== 'part') return isOff('Media resolution');
  if (mediaResolution !== undefined && model.resolution === 'none') return isOff('Media resolution');

  if (responseModalities?.some((modality) => !model.modalities.includes(modality)))
    return `Model does not support the requested response modalities: ${responseModalities.join(',').toLowerCase()}`;
  if (!model.systemInstruction) {
    if (systemInstruction !== undefined) return isOff('Developer instruction');
    if (responseMimeType === 'application/json') return isOff('JSON mode');
  }
  const asked = tools.flatMap((tool) => Object.keys(tool) as (keyof WireTool)[]);
  if (
    !model.jsonWithFunctions &&
    responseMimeType === 'application/json' &&
    asked.includes('functionDeclarations')
  )
    return "Function calling with a response mime type: 'application/json' is unsupported";
  const unknown = asked.find((tool) => tool in toolNames && !model.tools.includes(tool));
  return unknown ? isOff(toolNames[unknown]) : checkFunctions(tools);
}

/** Declarations as Gemini takes them: names, objects as parameters, no empty choices. */
function checkFunctions(tools: readonly WireTool[]): string | undefined {
  const functions = tools.flatMap(({ functionDeclarations = [] }) => functionDeclarations);
  const seen = new Set<string>();
  for (const [at, { name = '', parameters, parametersJsonSchema }] of functions.entries()) {
    const where = `* GenerateContentRequest.tools[0].function_declarations[${at}]`;
    if (!/^[A-Za-z_][\w.:-]{0,63}$/.test(name))
      return `${where}.name: Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.\n`;
    if (seen.has(name)) return `Duplicate function declaration found: ${name}`;
    seen.add(name);
    if (parameters !== undefined && parametersJsonSchema !== undefined)
      return `${where}: Only one of parameters and parameters_json_schema may be set.\n`;
    const schema = (parametersJsonSchema ?? parameters) as { readonly type?: unknown } | undefined;
    if (schema !== undefined && !/^object$/i.test(String(schema.type)))
      return `${where}.parameters: functionDeclaration parameters schema should be of type OBJECT.\n`;
    if (/"enum":\[(?:[^\]]*,)?""/.test(JSON.stringify(schema) ?? ''))
      return `${where}.parameters: enum: cannot be empty\n`;
  }
  return undefined;
}
