import type { PreparedMedia } from '../../core/media.js';
import type { RecalledTurn, Turn } from '../../core/turn.js';
import { bestEffort } from '../best-effort.js';
import type { Call } from '../call-scope.js';
import { type ChosenMedia, chooseEarlierMedia, earlierMediaDetail } from '../context/choose-earlier-media.js';
import type { ReattachedMedia } from '../context/compose.js';
import type { TurnDeps } from '../turn-deps.js';

type ArchiveDeps = Pick<TurnDeps, 'archive' | 'events'>;

/** What the choice depends on, in addition to the prompt. */
interface Around {
  readonly media: readonly PreparedMedia[];
  readonly recent: readonly Turn[];
  readonly recalled: readonly RecalledTurn[];
  readonly maxTokens: number;
}

/** Loads the attachments of earlier turns that the prompt refers to. Failing to read them does not fail the call. */
export async function loadEarlierMedia(
  parts: ArchiveDeps,
  call: Call,
  { maxTokens, media, recalled, recent }: Around,
): Promise<readonly ReattachedMedia[]> {
  const { archive } = parts;
  const { conversation, request } = call;
  if (archive === undefined || maxTokens === 0) return [];
  const shown = await bestEffort(parts, call, async () => {
    const archived = await archive.list(conversation);
    const attached = media.map(({ fingerprint }) => fingerprint);
    const chosen = chooseEarlierMedia({
      prompt: request.prompt,
      archived,
      attached,
      recent,
      recalled,
      maxTokens,
    });
    return Promise.all(
      chosen.map(async (choice) => {
        const data = await archive.load(conversation, choice.media.id);
        return data && { at: choice.media.firstAt, media: toPrepared(choice, data) };
      }),
    );
  });
  return (shown ?? []).filter((again) => again !== undefined);
}

/** Archives the attachments, so that a later prompt can have them attached again. */
export async function keepMedia(
  parts: ArchiveDeps,
  call: Call,
  media: readonly PreparedMedia[],
): Promise<void> {
  const { archive } = parts;
  if (archive === undefined || media.length === 0) return;
  await bestEffort(parts, call, async () => {
    await Promise.all(
      media.map(async (each) => {
        const { parts, estimatedTokens } = (await each.asFrames?.()) ?? each;
        const kept = { ...each, parts, estimatedTokens };
        await archive.keep(call.conversation, kept, call.startedAt);
      }),
    );
  });
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
