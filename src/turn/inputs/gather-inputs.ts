import type { ResolvedOptions } from '../../chat/parse-options.js';
import { Channel } from '../../core/channel.js';
import type { Clock } from '../../core/clock.js';
import type { Emitter } from '../../core/emitter.js';
import type { MediaProgress, PreparedMedia } from '../../core/media.js';
import type { RecalledTurn, Turn } from '../../core/turn.js';
import type { MediaProcessor } from '../../media/media-processor.js';
import type { MediaArchive } from '../../memory/media-archive.js';
import type { ConversationSummary, MemoryStore } from '../../memory/memory-store.js';
import { bestEffort } from '../best-effort.js';
import type { Call } from '../call-scope.js';
import type { ChatEvents } from '../chat-events.js';
import { fitRecent, type ReattachedMedia } from '../context/compose.js';
import { bytesOf, checkMediaBytes, fitReattached } from '../context/media-bytes.js';
import type { ChatStreamEvent } from '../reply.js';
import { loadEarlierMedia } from './earlier-media.js';

/** What the preparation of a call works with. */
export interface InputDeps {
  readonly media: MediaProcessor;
  readonly memory: MemoryStore | undefined;
  readonly archive: MediaArchive | undefined;
  readonly clock: Clock;
  readonly events: Emitter<ChatEvents>;
  readonly context: ResolvedOptions['context'];
}

/** Everything beside the prompt that goes into a request. */
export interface GatheredInputs {
  readonly media: readonly PreparedMedia[];
  /** Attachments of earlier turns that the prompt is about. */
  readonly reattached: readonly ReattachedMedia[];
  /** The latest turns, oldest first. */
  readonly recent: readonly Turn[];
  /** Older turns that bear on the prompt, best first. */
  readonly recalled: readonly RecalledTurn[];
  /** Of the first turns, where the latest are not the whole conversation. */
  readonly summary?: ConversationSummary | undefined;
  readonly mediaMs: number;
  readonly memoryMs: number;
}

type Push = (part: ChatStreamEvent) => void;

/** Prepares all attachments at once; the first that fails stops the others. */
async function prepareMedia(parts: InputDeps, call: Call, push: Push): Promise<readonly PreparedMedia[]> {
  const { sessionId } = call.conversation;
  const { signal, turnId } = call;
  const report = (index: number, progress: MediaProgress, media?: PreparedMedia) => {
    push({ type: 'media', index, progress, media });
    parts.events.emit('media', { sessionId, turnId, index, progress });
  };
  const maxTokens = Math.floor(parts.context.mediaTokens / call.request.media.length);
  return Promise.all(
    call.request.media.map(async (source, index) => {
      const media = await parts.media.prepare(source, {
        signal,
        maxTokens,
        onProgress: (progress) => {
          // `ready` is reported below, together with what was prepared.
          if (progress.stage !== 'ready') report(index, progress);
        },
      });
      call.onEnd(() => void media.release?.());
      report(index, { name: media.name, stage: 'ready', fraction: 1 }, media);
      return media;
    }),
  );
}

type Remembered = Pick<GatheredInputs, 'recent' | 'recalled' | 'summary'>;

/** Reads the latest turns, and finds older ones where the latest are not the whole conversation. */
async function readMemory(parts: InputDeps, memory: MemoryStore, call: Call): Promise<Remembered> {
  const { recallTurns, recentTokens, recentTurns, summary } = parts.context;
  const { conversation, request, signal, turnId } = call;
  const { sessionId } = conversation;
  const latest = await memory.recent(conversation, { limit: recentTurns, signal });
  const recent = fitRecent(latest, recentTokens);
  const isWhole = latest.length < recentTurns && recent.length === latest.length;
  if (isWhole) return { recent, recalled: [] };

  const recall = async () => {
    if (recallTurns === 0) return [];
    const startedAt = parts.clock.now();
    // Recent turns are left out of what was recalled, so as many more are asked for.
    const limit = recallTurns + recent.length;
    const found = await memory.recall(conversation, request.prompt, { limit, signal });
    const shown = new Set(recent.map((turn) => turn.id));
    const recalled = found.filter(({ turn }) => !shown.has(turn.id)).slice(0, recallTurns);
    const durationMs = parts.clock.now() - startedAt;
    parts.events.emit('memory', { sessionId, turnId, action: 'recall', turns: recalled.length, durationMs });
    return recalled;
  };
  const readSummary = async () => (summary ? memory.summaries?.read(conversation, { signal }) : undefined);
  // Both improve an answer; only the recent turns are needed for one.
  const [recalled, notes] = await Promise.all([
    bestEffort(parts, call, recall),
    bestEffort(parts, call, readSummary),
  ]);
  return { recent, recalled: recalled ?? [], summary: notes };
}

/** Prepares the media and reads memory at the same time; yields how the media come along. */
export async function* gatherInputs(
  parts: InputDeps,
  call: Call,
): AsyncGenerator<ChatStreamEvent, GatheredInputs, undefined> {
  const { clock, memory } = parts;
  const elapsedMs = () => clock.now() - call.startedAt;
  let mediaMs = 0;
  let memoryMs = 0;
  const remember = async () => {
    if (memory === undefined) return { recent: [], recalled: [] };
    const remembered = await readMemory(parts, memory, call);
    memoryMs = elapsedMs();
    return remembered;
  };
  const addEarlierMedia = async (inputs: Remembered & Pick<GatheredInputs, 'media'>) => {
    const { earlierMediaTokens, mediaBytes } = parts.context;
    const earlier = await loadEarlierMedia(parts, call, { ...inputs, maxTokens: earlierMediaTokens });
    const reattached = fitReattached(earlier, mediaBytes - bytesOf(inputs.media));
    return { ...inputs, reattached, mediaMs, memoryMs };
  };
  if (call.request.media.length === 0) {
    const remembered = await remember();
    return await addEarlierMedia({ media: [], ...remembered });
  }

  const channel = new Channel<ChatStreamEvent>();
  const prepare = async () => {
    const media = await prepareMedia(parts, call, (part) => channel.push(part));
    checkMediaBytes(media, parts.context.mediaBytes);
    mediaMs = elapsedMs();
    return media;
  };
  const work = Promise.all([prepare(), remember()]);
  work.then(
    () => channel.end(),
    (error: unknown) => {
      channel.fail(error);
      // One input that cannot be had makes the others useless.
      call.abort(error);
    },
  );
  const onAbort = () => channel.fail(call.signal.reason);
  call.signal.addEventListener('abort', onAbort, { once: true });
  try {
    yield* channel.read();
  } finally {
    call.signal.removeEventListener('abort', onAbort);
  }
  const [media, remembered] = await work;
  return await addEarlierMedia({ media, ...remembered });
}
