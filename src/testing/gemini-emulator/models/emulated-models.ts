import type { WireTool } from '../wire/messages.js';

/** What one model takes beside text and pictures. */
export interface EmulatedModel {
  /** Empty: `thinkingLevel` is refused. */
  readonly thinkingLevels: readonly string[];
  readonly thinkingBudget: boolean;
  /** Whether requests, and single parts of them, may have a `mediaResolution`. */
  readonly resolution: 'none' | 'request' | 'part';
  /** What it answers with unless the request says so; nothing else is allowed. */
  readonly modalities: readonly string[];
  readonly tools: readonly (keyof WireTool)[];
  readonly systemInstruction: boolean;
  /** Whether it may be asked for JSON while functions are declared. */
  readonly jsonWithFunctions: boolean;
  /** Whether function calls of the current turn, and pictures of its own, need their signature back. */
  readonly needsSignatures: boolean;
}

const allTools = [
  'googleSearch',
  'urlContext',
  'codeExecution',
  'googleMaps',
  'fileSearch',
  'functionDeclarations',
] as const satisfies readonly (keyof WireTool)[];

const since3 = (...thinkingLevels: readonly string[]): EmulatedModel => ({
  thinkingLevels,
  thinkingBudget: true,
  resolution: 'part',
  modalities: ['TEXT'],
  tools: allTools,
  systemInstruction: true,
  jsonWithFunctions: true,
  needsSignatures: true,
});
const before3: EmulatedModel = {
  ...since3(),
  resolution: 'request',
  jsonWithFunctions: false,
  needsSignatures: false,
};
const ofImages: EmulatedModel = {
  ...since3(),
  thinkingBudget: false,
  modalities: ['TEXT', 'IMAGE'],
  tools: ['googleSearch'],
};
const ofSpeech: EmulatedModel = { ...before3, thinkingBudget: false, modalities: ['AUDIO'], tools: [] };
const gemma: EmulatedModel = {
  ...before3,
  thinkingBudget: false,
  resolution: 'none',
  tools: [],
  systemInstruction: false,
};

const lowToHigh = ['LOW', 'MEDIUM', 'HIGH'];

/** Models of November 2026 by the beginning of their name; the first entry that fits counts. */
const models: readonly (readonly [RegExp, EmulatedModel])[] = [
  [/^gemini-.*-image/, ofImages],
  [/^gemini-.*-tts/, ofSpeech],
  [/^gemini-4-hydrogen/, { ...since3(...lowToHigh, 'XHIGH'), thinkingBudget: false }],
  [/^gemini-4-/, { ...since3(...lowToHigh), thinkingBudget: false }],
  [/^gemini-3\.[678]-flash/, since3(...lowToHigh)],
  [/^gemini-3(\.\d+)?-pro/, since3(...lowToHigh)],
  [/^gemini-3(\.\d+)?-flash/, since3('MINIMAL', ...lowToHigh)],
  [/^gemini-2\.5-/, before3],
  [/^gemma-4-/, { ...gemma, thinkingLevels: ['MINIMAL', 'HIGH'], systemInstruction: true }],
  [/^gemma-/, gemma],
];

/** What the emulator serves by default: what Gemini serves in November 2026. */
export const defaultModels: readonly string[] = [
  'gemini-4-argon',
  'gemini-4-carbon',
  'gemini-4-hydrogen',
  'gemini-3.8-flash',
  'gemini-3.7-flash',
  'gemini-3.6-flash',
  'gemini-3.5-flash',
  'gemini-3.5-flash-lite',
  'gemini-3.1-flash-lite',
  'gemini-3-flash-preview',
  'gemini-3.1-pro-preview',
  'gemini-2.5-flash',
  'gemini-2.5-flash-lite',
  'gemini-2.5-pro',
  'gemini-3-pro-image',
  'gemini-3.1-flash-image',
  'gemini-3.1-flash-lite-image',
  'gemini-3.8-flash-tts',
  'gemma-4-31b-it',
  'gemma-3-27b-it',
  'gemini-embedding-2',
  'gemini-embedding-001',
];

/** Names that stand for the newest model of their kind. */
export const defaultAliases: Readonly<Record<string, string>> = {
  'gemini-flash-latest': 'gemini-3.8-flash',
  'gemini-flash-lite-latest': 'gemini-3.5-flash-lite',
  'gemini-pro-latest': 'gemini-3.1-pro-preview',
};

/** What a model takes; `undefined` for a name that Gemini does not have, which takes everything. */
export const emulatedModel = (name: string): EmulatedModel | undefined =>
  models.find(([pattern]) => pattern.test(name))?.[1];
