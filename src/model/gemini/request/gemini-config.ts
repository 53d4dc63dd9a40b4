import type {
  FunctionCallingConfig,
  FunctionCallingConfigMode,
  GenerateContentConfig,
  Tool,
  ToolConfig,
} from '@google/genai';
import { InvalidInputError } from '../../../core/errors.js';
import type { ToolChoice } from '../../../core/tool.js';
import type { BuiltInTools, GenerationOptions, ModelCapabilities, ModelRequest } from '../../chat-model.js';
import { findReservedOption } from '../../reserved-options.js';
import { providerName } from '../gemini-parts.js';
import { withoutAbsent } from '../json.js';
import { capabilitiesOf } from './gemini-capabilities.js';

const thinks = ({ thinkingBudget, thinkingLevels }: ModelCapabilities) =>
  thinkingBudget === true || thinkingLevels !== undefined;

/** What the level or budget of thinking is for this model, and no more than it takes. */
function toThinkingConfig(generation: GenerationOptions, takes: ModelCapabilities): object {
  const { includeThoughts, thinkingBudget, thinkingLevel } = generation;
  const level = takes.thinkingLevels?.find((each) => each === thinkingLevel);
  return {
    ...(level !== undefined && { thinkingLevel: level.toUpperCase() }),
    ...(takes.thinkingBudget && thinkingBudget !== undefined && { thinkingBudget }),
    ...(includeThoughts === true && thinks(takes) && { includeThoughts }),
  };
}

/** The modalities that were asked for and the model has. A model that only writes needs none named. */
function toModalities({ responseModalities }: GenerationOptions, { modalities }: ModelCapabilities) {
  const wanted = modalities && responseModalities?.filter((each) => modalities.includes(each));
  return wanted === undefined || wanted.length === 0 ? undefined : wanted.map((each) => each.toUpperCase());
}

/** The tools that were asked for and the model has. */
function toTools(builtIn: BuiltInTools | undefined, { builtIn: takes = [] }: ModelCapabilities): Tool[] {
  if (builtIn === undefined) return [];
  const { fileSearch } = builtIn;
  const byName: Readonly<Record<keyof BuiltInTools, Tool>> = {
    search: { googleSearch: {} },
    urls: { urlContext: {} },
    code: { codeExecution: {} },
    maps: { googleMaps: {} },
    fileSearch: { fileSearch: { fileSearchStoreNames: [...(fileSearch?.stores ?? [])] } },
  };
  return takes.filter((name) => builtIn[name]).map((name) => byName[name]);
}

function toToolConfig(
  { builtIn: { maps } = {}, toolChoice = 'auto', tools = [] }: ModelRequest,
  { builtIn: takes = [] }: ModelCapabilities,
  hasBuiltIn: boolean,
): ToolConfig {
  return {
    ...(typeof maps === 'object' && takes.includes('maps') && { retrievalConfig: { latLng: { ...maps } } }),
    ...(tools.length > 0 && toolChoice !== 'auto' && { functionCallingConfig: toCallingConfig(toolChoice) }),
    // Else Gemini refuses functions beside tools of its own.
    ...(tools.length > 0 && hasBuiltIn && { includeServerSideToolInvocations: true }),
  };
}

function toCallingConfig(choice: ToolChoice): FunctionCallingConfig {
  if (typeof choice === 'object')
    return { mode: 'ANY' as FunctionCallingConfigMode, allowedFunctionNames: [choice.name] };
  return { mode: (choice === 'none' ? 'NONE' : 'ANY') as FunctionCallingConfigMode };
}

/** The functions of the app, if the model takes any. */
function toFunctions({ tools = [] }: ModelRequest, takes: ModelCapabilities): Tool[] {
  if (tools.length === 0 || takes.tools !== true) return [];
  return [
    {
      functionDeclarations: tools.map(({ description, inputSchema, name }) => ({
        ...{ name, description },
        parametersJsonSchema: inputSchema,
      })),
    },
  ];
}

/**
 * The settings of a request, over which those of `providerOptions` win.
 *
 * @throws InvalidInputError if these set what the request or the call itself decides.
 */
export function toConfig(request: ModelRequest): GenerateContentConfig {
  const { builtIn, continuation, generation, model, providerOptions } = request;
  const fault = findReservedOption(providerOptions);
  if (fault) throw new InvalidInputError(`\`providerOptions.${fault.path.join('.')}\` ${fault.message}.`);
  const takes = capabilitiesOf(model);
  const {
    includeThoughts: _,
    responseModalities: __,
    stopSequences,
    thinkingBudget: ___,
    thinkingLevel: ____,
    ...plain
  } = generation;
  const own = (providerOptions?.[providerName] ?? {}) as GenerateContentConfig;
  const thinkingConfig = { ...toThinkingConfig(generation, takes), ...own.thinkingConfig };
  const builtInTools = toTools(builtIn, takes);
  const tools = [...builtInTools, ...toFunctions(request, takes), ...(own.tools ?? [])];
  const toolConfig = { ...toToolConfig(request, takes, builtInTools.length > 0), ...own.toolConfig };
  return withoutAbsent({
    ...plain,
    stopSequences: stopSequences && [...stopSequences],
    responseModalities: toModalities(generation, takes),
    ...own,
    thinkingConfig: ifAny(thinkingConfig),
    tools: tools.length > 0 ? tools : undefined,
    toolConfig: ifAny(toolConfig),
    ...(typeof continuation === 'string' && { continuationToken: continuation }),
    // Either would make further calls that no lease covers.
    automaticContinuation: false,
    automaticFunctionCalling: { disable: true },
  }) as GenerateContentConfig;
}

const ifAny = <T extends object>(fields: T): T | undefined =>
  Object.keys(fields).length > 0 ? fields : undefined;
