import { onAbort } from '../../core/abort.js';
import { withoutBytesInJson } from '../../core/bytes-in-json.js';
import { Channel } from '../../core/channel.js';
import type { MediaProgress, MediaSource, PreparedMedia } from '../../core/media.js';
import type { RecalledTurn, Turn } from '../../core/turn.js';
import type { ConversationSummary, MemoryStore } from '../../memory/memory-store.js';
import { bestEffort } from '../best-effort.js';
import type { Call } from '../call-scope.js';
import type { ReattachedMedia } from '../context/compose.js';
import { fitHistory, type HistoryOptions, type SentTurn } from '../context/history.js';
import { bytesOf, checkMediaBytes } from '../context/media-bytes.js';
import type { ChatStreamEvent } from '../reply.js';
import type { TurnDeps } from '../turn-deps.js';
import { loadEarlierMedia, loadKept } from './earlier-media.js';
import { turnsOfHistory } from './given-history.js';

type InputDeps = Pick<
  TurnDeps,
  'archive' | 'events' | 'media' | 'memory' | 'models' | 'plainHistory' | 'settings'
>;

/** Everything that goes into a request, except the prompt. */
export interface GatheredInputs {
  readonly media: readonly PreparedMedia[];
  /** Attachments of earlier turns that the prompt refers to. */
  readonly reattached: readonly ReattachedMedia[];
  /** The latest turns, oldest first. */
  readonly recent: readonly Turn[];
  /** How they are sent. */
  readonly history: HistoryOptions;
  /** What is sent of them, unless files of theirs are. */
  readonly sent?: readonly SentTurn[] | undefined;
  /** Older turns that are relevant to the prompt, best first. */
  readonly recalled: readonly RecalledTurn[];
  /** Summary of the turns before `recent`, if any were left out. */
  readonly summary?: ConversationSummary | undefined;
  /** The stored turn that this one replaces, if it is one of the latest. */
  readonly replaced?: Turn | undefined;
  readonly mediaMs: number;
  readonly memoryMs: number;
}

type Push = (part: ChatStreamEvent) => void;

/** Prepares all attachments at once; the first that fails stops the others. */
async function prepareMedia(deps: InputDeps, call: Call, push: Push): Promise<readonly PreparedMedia[]> {
  const { conversation, request, signal, spans, turnId } = call;
  const report = (index: number, progress: MediaProgress, media?: PreparedMedia) => {
    push({ type: 'media', index, progress, media });
    deps.events.emit('media', { ...conversation, turnId, index, progress });
  };
  const maxTokens = Math.floor(deps.settings.context.mediaTokens / request.media.length);
  const { model, name } = deps.models.get(request.model ?? deps.models.main.name);
  const accepts = model.capabilities(name).media;
  const prepare = async (source: MediaSource, index: number) => {
    const prepared = await deps.media.prepare(source, {
      signal,
      maxTokens,
      accepts,
      request: call,
      onProgress: (progress) => {
        // `ready` is reported below, together with what was prepared.
        if (progress.stage !== 'ready') report(index, progress);
      },
    });
    call.onEnd(() => void prepared.release?.());
    const media = { ...prepared, parts: prepared.parts.map(withoutBytesInJson) };
    report(index, { name: media.name, stage: 'ready', fraction: 1 }, media);
    return media;
  };
  return Promise.all(
    request.media.map((source, index) =>
      spans.during(
        { kind: 'media', index },
        signal,
        () => prepare(source, index),
        ({ estimatedTokens, source: { mimeType } }) => ({ mimeType, estimatedTokens }),
      ),
    ),
  );
}

type Remembered = Pick<GatheredInputs, 'recent' | 'recalled' | 'replaced' | 'sent' | 'summary'> & {
  /** Whether the recent turns are all there are. */
  readonly isWhole: boolean;
};

/** Whether anything was attached to a turn, or a tool or the model gave any file in it. */
const holdsMedia = ({ messages }: Turn) =>
  messages.some(({ parts }) =>
    parts.some(
      (part) => part.type === 'media' || part.type === 'file' || (part.type === 'tool-result' && part.media),
    ),
  );

/** Reads the latest turns, and recalls older ones if the latest are not the whole conversation. */
async function readMemory(deps: InputDeps, memory: MemoryStore, call: Call): Promise<Remembered> {
  const { recallTurns, recentTokens, recentTurns, summary } = deps.settings.context;
  const { conversation, request, signal } = call;
  const latest = await memory.recent(conversation, { limit: recentTurns, signal });
  // The answer is made anew from what came before it.
  const replacedAt = latest.findIndex(({ id }) => id === call.turnId);
  const replaced = latest[replacedAt];
  const earlier = replaced === undefined ? latest : latest.slice(0, replacedAt);
  const sent = fitHistory(earlier, recentTokens, { isPlain: (turn) => deps.plainHistory.has(turn) });
  const recent = sent.map(({ turn }) => turn);
  const isWhole = latest.length < recentTurns && recent.length === earlier.length;
  if (isWhole) return { isWhole, recent, recalled: [], replaced, sent };

  const recall = async () => {
    if (recallTurns === 0 || request.prompt.trim() === '') return [];
    // Recent turns are dropped from the result, so ask for that many more.
    const later = latest.length - earlier.length;
    const limit = recallTurns + recent.length + later + 1;
    const found = await memory.recall(conversation, request.prompt, { limit, signal });
    const left = new Set([...recent, ...latest.slice(earlier.length)].map((turn) => turn.id));
    left.add(call.turnId);
    return found.filter(({ turn }) => !left.has(turn.id)).slice(0, recallTurns);
  };
  const readSummary = async () => (summary ? memory.summaries?.read(conversation, { signal }) : undefined);
  // Both are optional: an answer needs only the recent turns.
  const [recalled, notes] = await Promise.all([
    bestEffort(deps, call, recall),
    bestEffort(deps, call, readSummary),
  ]);
  const tellsOfReplaced = replaced !== undefined && notes !== undefined && notes.until >= replaced.createdAt;
  return {
    ...{ isWhole, recent, replaced, sent },
    recalled: recalled ?? [],
    summary: tellsOfReplaced ? undefined : notes,
  };
}

/** Prepares the media and reads memory at the same time; yields the progress of the media. */
export async function* gatherInputs(
  deps: InputDeps,
  call: Call,
): AsyncGenerator<ChatStreamEvent, GatheredInputs, undefined> {
  const { memory } = deps;
  const { clock, context } = deps.settings;
  const elapsedMs = () => clock.now() - call.startedAt;
  let mediaMs = 0;
  let memoryMs = 0;
  const { history } = call.request;
  const isPlain = (turn: Turn) => deps.plainHistory.has(turn);
  const remember = async (): Promise<Remembered> => {
    if (history !== undefined) {
      const { recentTokens, recentTurns } = context;
      const turns = recentTurns === 0 ? [] : turnsOfHistory(history, call).slice(-recentTurns);
      const sent = fitHistory(turns, recentTokens, { isPlain });
      return { isWhole: false, recent: sent.map(({ turn }) => turn), recalled: [], sent };
    }
    if (memory === undefined) return { isWhole: false, recent: [], recalled: [] };
    const remembered = await call.spans.during(
      { kind: 'recall' },
      call.signal,
      () => readMemory(deps, memory, call),
      ({ recalled, recent }) => ({ recentTurns: recent.length, recalledTurns: recalled.length }),
    );
    memoryMs = elapsedMs();
    return remembered;
  };
  const addEarlierMedia = async (inputs: Remembered & Pick<GatheredInputs, 'media'>) => {
    const { earlierMediaTokens, mediaBytes } = context;
    const { isWhole, sent, ...rest } = inputs;
    // Nothing was attached or made, so the archive has nothing of this conversation either.
    if (isWhole && inputs.replaced === undefined && !inputs.recent.some(holdsMedia))
      return { ...rest, sent, history: { isPlain }, reattached: [], mediaMs, memoryMs };
    const { files, reattached } = await loadEarlierMedia(deps, call, {
      ...inputs,
      // Media of the stored turns belong to a history that is not shown.
      maxTokens: history === undefined ? earlierMediaTokens : 0,
      maxBytes: mediaBytes - bytesOf(inputs.media),
    });
    const asSent = files.size === 0 ? { sent } : {};
    return { ...rest, ...asSent, history: { files, isPlain }, reattached, mediaMs, memoryMs };
  };
  if (call.request.media.length === 0) {
    const remembered = await remember();
    const media = await loadKept(deps, call, call.request.resume?.turn.media ?? []);
    return await addEarlierMedia({ media, ...remembered });
  }

  const channel = new Channel<ChatStreamEvent>();
  const prepare = async () => {
    const media = await prepareMedia(deps, call, (part) => channel.push(part));
    checkMediaBytes(media, context.mediaBytes);
    mediaMs = elapsedMs();
    return media;
  };
  const work = Promise.all([prepare(), remember()]);
  work.then(
    () => channel.end(),
    (error: unknown) => {
      channel.fail(error);
      // Without one input the others are of no use.
      call.abort(error);
    },
  );
  const unsubscribe = onAbort(call.signal, (reason) => channel.fail(reason));
  try {
    yield* channel.read();
  } finally {
    unsubscribe();
  }
  const [media, remembered] = await work;
  return await addEarlierMedia({ media, ...remembered });
}
