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
  const unknown = asked.find((tool) => tool in toolNames && !model.tools.includes(tool));
  return unknown && isOff(toolNames[unknown]);
}
