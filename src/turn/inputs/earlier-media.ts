import type { PreparedMedia } from '../../core/media.js';
import type { FilePart } from '../../core/message.js';
import type { RecalledTurn, Turn } from '../../core/turn.js';
import type { TurnMedia } from '../../core/turn-media.js';
import type { ArchivedMedia } from '../../memory/media-archive.js';
import type { DataPart, GeneratedFile } from '../../model/chat-model.js';
import { bestEffort } from '../best-effort.js';
import type { Call } from '../call-scope.js';
import { type ChosenMedia, chooseEarlierMedia, earlierMediaDetail } from '../context/choose-earlier-media.js';
import type { ReattachedMedia } from '../context/compose.js';
import { estimateFileTokens, filesOf, fitFiles, toDataPart } from '../context/generated-files.js';
import type { SentFiles } from '../context/history.js';
import { bytesOf, fitReattached } from '../context/media-bytes.js';
import type { TurnDeps } from '../turn-deps.js';

type ArchiveDeps = Pick<TurnDeps, 'archive' | 'events'>;
type LoadDeps = Pick<TurnDeps, 'archive' | 'events' | 'models' | 'plainHistory'>;

/** What the choice depends on, in addition to the prompt. */
interface Around {
  readonly media: readonly PreparedMedia[];
  readonly recent: readonly Turn[];
  readonly recalled: readonly RecalledTurn[];
  readonly maxTokens: number;
  readonly maxBytes: number;
}

/** Media of earlier turns that go into a request. */
export interface EarlierMedia {
  /** What the prompt refers to, to be shown beside it. */
  readonly reattached: readonly ReattachedMedia[];
  /** Files that the model generated, to go back in their place. */
  readonly files: SentFiles;
}

const nothing: EarlierMedia = { reattached: [], files: new Map() };

/** Loads media of earlier turns, within the budgets. Failing to read them does not fail the call. */
export async function loadEarlierMedia(deps: LoadDeps, call: Call, around: Around): Promise<EarlierMedia> {
  const { archive } = deps;
  if (archive === undefined || around.maxTokens === 0) return nothing;
  const loaded = await bestEffort(deps, call, () => load(deps, archive, call, around));
  return loaded ?? nothing;
}

async function load(
  { models, plainHistory }: LoadDeps,
  archive: NonNullable<TurnDeps['archive']>,
  { conversation, request }: Call,
  { maxBytes, maxTokens, media, recalled, recent }: Around,
): Promise<EarlierMedia> {
  const archived = await archive.list(conversation);
  if (archived.length === 0) return nothing;
  const attached = media.map(({ fingerprint }) => fingerprint);
  const { prompt } = request;
  const chosen = chooseEarlierMedia({ prompt, archived, attached, recent, recalled, maxTokens });

  const { model, name } = models.get(request.model ?? models.main.name);
  const answers = recent.filter((turn) => !plainHistory.has(turn));
  const own = filesOf(answers, { provider: model.provider, model: name });
  // What goes back in its place is not shown a second time.
  const beside = chosen.filter((choice) => !own.some((file) => isOf(file, choice.media)));
  const shown = await Promise.all(
    beside.map(async (choice) => {
      const data = await archive.load(conversation, choice.media.id);
      return data && { at: choice.media.firstAt, media: toPrepared(choice, data) };
    }),
  );
  const reattached = fitReattached(
    shown.filter((again) => again !== undefined),
    maxBytes,
  );

  const isMeant = (file: FilePart) => chosen.some((choice) => isOf(file, choice.media));
  const used = reattached.map((again) => again.media);
  const fitting = fitFiles([...own.filter(isMeant), ...own.filter((file) => !isMeant(file))], {
    maxBytes: maxBytes - bytesOf(used),
    maxTokens: maxTokens - used.reduce((sum, { estimatedTokens }) => sum + estimatedTokens, 0),
  });
  const files = new Map<FilePart, DataPart>();
  for (const file of fitting) {
    const kept = archived.find((each) => isOf(file, each));
    const [data] = (kept && (await archive.load(conversation, kept.id))) ?? [];
    if (data !== undefined) files.set(file, toDataPart(file, data));
  }
  return { reattached, files };
}

/** Media of the conversation as they were shown, as far as they are still there. */
export async function loadKept(
  deps: LoadDeps,
  call: Call,
  media: readonly TurnMedia[],
): Promise<readonly PreparedMedia[]> {
  const { archive } = deps;
  if (archive === undefined || media.length === 0) return [];
  const loaded = await bestEffort(deps, call, async () => {
    const archived = await archive.list(call.conversation);
    const wanted = media.flatMap(
      ({ fingerprint }) => archived.find((each) => each.fingerprint === fingerprint) ?? [],
    );
    return Promise.all(
      wanted.map(async (each) => {
        const data = await archive.load(call.conversation, each.id);
        const { estimatedTokens, fingerprint, kind, name, source } = each;
        const parts = each.parts.flatMap((part, at) => (data?.[at] ? [{ ...part, data: data[at] }] : []));
        return data && { estimatedTokens, fingerprint, kind, name, source, parts };
      }),
    );
  });
  return (loaded ?? []).filter((each) => each !== undefined);
}

const isOf = ({ fingerprint }: FilePart, media: ArchivedMedia) =>
  media.source.isGenerated === true && media.fingerprint === fingerprint;

/** Archives media, in this order, so that a later prompt can have them shown again. */
export async function keepMedia(
  deps: ArchiveDeps,
  call: Call,
  media: readonly PreparedMedia[],
): Promise<void> {
  const { archive } = deps;
  if (archive === undefined || media.length === 0) return;
  await bestEffort(deps, call, async () => {
    await Promise.all(
      media.map(async (each, index) => {
        const { parts, estimatedTokens } = (await each.asFrames?.()) ?? each;
        const kept = { ...each, parts, estimatedTokens };
        // The archive keeps them in the order of their times.
        await archive.keep(call.conversation, kept, call.askedAt + index);
      }),
    );
  });
}

/** A generated file in the form in which it is archived. */
export function toArchivable({ data, fingerprint, mimeType, name }: GeneratedFile): PreparedMedia {
  const [type] = mimeType.split('/');
  return {
    kind: type === 'image' || type === 'audio' || type === 'video' ? type : 'document',
    name,
    fingerprint,
    source: { mimeType, bytes: data.byteLength, isGenerated: true },
    estimatedTokens: estimateFileTokens(mimeType, data.byteLength),
    parts: [{ mimeType, data }],
  };
}

function toPrepared(
  { estimatedTokens, media, parts }: ChosenMedia,
  data: readonly Uint8Array[],
): PreparedMedia {
  const { fingerprint, kind, name, source } = media;
  return {
    kind,
    name,
    fingerprint,
    source,
    estimatedTokens,
    parts: parts.flatMap((index) => {
      const part = media.parts[index];
      const bytes = data[index];
      if (part === undefined || bytes === undefined) return [];
      return [
        { ...part, data: bytes, ...(part.mimeType.startsWith('image/') && { detail: earlierMediaDetail }) },
      ];
    }),
  };
}
