import { type Import, isOurs } from './source-imports.js';

/** What one layer may import, as a test over single imports. */
export interface LayeringRule {
  readonly name: string;
  readonly forbids: (found: Import) => boolean;
  /** Imports that the rule has to refuse, so that a rule that forbids nothing is noticed. */
  readonly refuses: readonly (readonly [from: string, to: string])[];
}

const parts = ['keys', 'media', 'memory', 'model', 'retry'];
const interfaceFiles = [
  'keys/key-pool.ts',
  'media/media-processor.ts',
  'memory/embedder.ts',
  'memory/media-archive.ts',
  'memory/memory-store.ts',
  'model/chat-model.ts',
  'retry/retry-policy.ts',
];
const adapters = ['cli', 'http', 'telemetry', 'testing'];

const folderOf = (file: string) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '');
const isDoor = (file: string) => isOurs(file) && !file.includes('/');
const isInterface = (file: string) => interfaceFiles.includes(file);
const isIn = (file: string, ...folders: readonly string[]) => folders.includes(folderOf(file));
const isShared = (file: string) => isIn(file, 'core') || isInterface(file);

const lazyPackages = [
  '@google/genai',
  'sharp',
  'fluent-ffmpeg',
  '@ffmpeg-installer/ffmpeg',
  'mediabunny',
  'chromadb',
  'libsql',
  'ioredis',
  'redis',
];

export const layeringRules: readonly LayeringRule[] = [
  {
    name: 'core/ imports nothing else of src',
    forbids: ({ from, to }) => isIn(from, 'core') && isOurs(to) && !isIn(to, 'core'),
    refuses: [
      ['core/media.ts', 'media/media-options.ts'],
      ['core/turn.ts', 'turn/reply.ts'],
    ],
  },
  {
    name: 'interface files import only core/ and interface files',
    forbids: ({ from, to }) => isInterface(from) && !isShared(to),
    refuses: [['memory/memory-store.ts', 'memory/embedded/schema.ts']],
  },
  {
    name: 'the parts import of one another only interface files',
    forbids: ({ from, to }) =>
      isIn(from, ...parts) && isOurs(to) && folderOf(from) !== folderOf(to) && !isShared(to),
    refuses: [
      ['keys/scheduler/dispatch.ts', 'model/gemini/gemini-model.ts'],
      ['memory/rank/fuse.ts', 'turn/reply.ts'],
      ['retry/backoff-retry-policy.ts', 'chat/chat-options.ts'],
    ],
  },
  {
    name: 'turn/ imports only core/, interface files and itself',
    forbids: ({ from, to }) => isIn(from, 'turn') && isOurs(to) && !isIn(to, 'turn') && !isShared(to),
    refuses: [
      ['turn/run-turn.ts', 'chat/parse-options.ts'],
      ['turn/generate/hedge.ts', 'keys/scheduler/dispatch.ts'],
    ],
  },
  {
    name: 'model/gemini/ is known to chat/default-parts.ts and doors only',
    forbids: ({ from, to }) =>
      to.startsWith('model/gemini/') &&
      !from.startsWith('model/gemini/') &&
      from !== 'chat/default-parts.ts' &&
      !isDoor(from),
    refuses: [
      ['chat/rolling-summary.ts', 'model/gemini/default-models.ts'],
      ['model/chat-model.ts', 'model/gemini/request/gemini-request.ts'],
    ],
  },
  {
    name: 'chat/ imports no adapter and no door',
    forbids: ({ from, to }) => isIn(from, 'chat') && (isIn(to, ...adapters) || isDoor(to)),
    refuses: [['chat/multimodal-chat.ts', 'http/handler.ts']],
  },
  {
    name: 'adapters use only the public surface',
    forbids: ({ from, to }) =>
      isIn(from, ...adapters) &&
      isOurs(to) &&
      folderOf(from) !== folderOf(to) &&
      !isShared(to) &&
      to !== 'index.ts',
    refuses: [
      ['http/handler.ts', 'chat/multimodal-chat.ts'],
      ['testing/fake-key-pool.ts', 'keys/scheduler/dispatch.ts'],
      ['telemetry/spans.ts', 'turn/run-turn.ts'],
    ],
  },
  {
    name: 'the emulator imports only core/ and itself',
    forbids: ({ from, to }) =>
      from.startsWith('testing/gemini-emulator/') &&
      isOurs(to) &&
      !to.startsWith('testing/gemini-emulator/') &&
      !isIn(to, 'core'),
    refuses: [['testing/gemini-emulator/answer.ts', 'model/chat-model.ts']],
  },
  {
    name: 'values of @google/genai are used in model/gemini/ only',
    forbids: ({ from, isType, to }) => to === '@google/genai' && !isType && !from.startsWith('model/gemini/'),
    refuses: [['chat/default-parts.ts', '@google/genai']],
  },
  {
    name: 'heavy packages load on first use',
    forbids: ({ isDynamic, isType, to }) => lazyPackages.includes(to) && !isType && !isDynamic,
    refuses: lazyPackages.map((name) => ['model/gemini/gemini-clients.ts', name] as const),
  },
];
