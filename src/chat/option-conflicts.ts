import type { MultimodalChatOptions } from './chat-options.js';

type Options = MultimodalChatOptions;

const isObject = <T>(value: T): value is Exclude<Extract<T, object>, string> =>
  typeof value === 'object' && value !== null;
const isGiven = (value: unknown) => value !== undefined && value !== false;

const ownModel = ({ model }: Options) => isObject(model);
const ownMemory = ({ memory }: Options) => isObject(memory);
const ownPolicy = ({ retry }: Options) => isObject(retry) && 'next' in retry;
/** Names in `fallbackModels` are served by the provider of `model`. */
const noModelNeedsKey = ({ fallbackModels = [], model }: Options) =>
  isObject(model) && [model, ...fallbackModels.filter(isObject)].every(({ needsKey }) => needsKey === false);

/** Pairs of options of which one would be ignored, each with what to do about it. */
const conflicts: readonly (readonly [applies: (options: Options) => boolean, sentence: string])[] = [
  [
    (options) => isGiven(options.keys) && isGiven(options.keyPool),
    '`keys` would be ignored beside `keyPool`: give the keys to the pool.',
  ],
  [
    (options) => isGiven(options.limits) && isGiven(options.keyPool),
    '`limits` would be ignored beside `keyPool`: give the limits to the pool.',
  ],
  ...(['keys', 'limits', 'keyPool'] as const).map(
    (name) =>
      [
        (options: Options) => isGiven(options[name]) && noModelNeedsKey(options),
        `\`${name}\` would be ignored: no model of this chat needs a key. Leave it out.`,
      ] as const,
  ),
  ...(['baseUrl', 'apiVersion', 'headers', 'fetch'] as const).map(
    (name) =>
      [
        (options: Options) => isGiven(options[name]) && ownModel(options),
        `\`${name}\` would be ignored beside your own \`model\`: give it to the model.`,
      ] as const,
  ),
  [
    ({ timeouts, ...options }) =>
      (isGiven(timeouts?.firstTokenMs) || isGiven(timeouts?.betweenChunksMs)) && ownModel(options),
    '`timeouts.firstTokenMs` and `timeouts.betweenChunksMs` would be ignored beside your own `model`: give them to the model. `timeouts.callMs` is for the whole call.',
  ],
  [
    (options) =>
      options.fallbackModels?.some((each) => typeof each === 'string') === true && ownPolicy(options),
    'Names in `fallbackModels` would be ignored beside your own `RetryPolicy`, which names the fallbacks itself: give them to the policy.',
  ],
  [
    (options) => isGiven(options.embedder) && ownMemory(options),
    '`embedder` would be ignored beside your own `memory`: give it to the store.',
  ],
  ...(['embedder', 'retention', 'mediaArchive'] as const).map(
    (name) =>
      [
        (options: Options) => isGiven(options[name]) && options.memory === false,
        `\`${name}\` would be ignored with \`memory: false\`. Leave it out, or turn memory on.`,
      ] as const,
  ),
  [
    ({ context, memory }) => isGiven(context?.summary) && memory === false,
    '`context.summary` would be ignored with `memory: false`. Leave it out, or turn memory on.',
  ],
  [
    ({ context, memory }) => isGiven(context?.summary) && isObject(memory) && memory.summaries === undefined,
    '`context.summary` would be ignored: your `memory` has no `summaries`. Leave it out, or use a store that keeps them.',
  ],
];

/** The sentence about the first pair of options that cannot both hold, if there is one. */
export function findConflict(options: Options): string | undefined {
  return conflicts.find(([applies]) => applies(options))?.[1];
}
