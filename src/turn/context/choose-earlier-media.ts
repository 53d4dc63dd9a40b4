import { audioTokens, imageTokens } from '../../core/media-tokens.js';
import type { RecalledTurn, Turn } from '../../core/turn.js';
import type { ArchivedMedia } from '../../memory/media-archive.js';
import { type MediaReference, readReference } from './media-words.js';

/** Earlier pictures are looked at less closely than new ones. */
export const earlierMediaDetail = 'low' as const;

/** "And before that?" refers to attachments of the last turns. */
const recentTurnsLookedAt = 3;
/** Recalled turns are relevant to the prompt, the first ones most. */
const recalledTurnsLookedAt = 3;
/** With fewer frames, a clip does not show that anything moves. */
const fewestFrames = 2;

export interface EarlierMediaInput {
  readonly prompt: string;
  /** Attachments and generated files of the conversation, in the order in which they first came. */
  readonly archived: readonly ArchivedMedia[];
  /** Oldest first. */
  readonly recent: readonly Turn[];
  /** Best first. */
  readonly recalled: readonly RecalledTurn[];
  /** Fingerprints of what is attached to the prompt itself. */
  readonly attached: readonly string[];
  readonly maxTokens: number;
}

/** An earlier attachment and which of its parts to show, by position. */
export interface ChosenMedia {
  readonly media: ArchivedMedia;
  readonly parts: readonly number[];
  readonly estimatedTokens: number;
}

/**
 * Chooses the earlier attachments that a prompt refers to, within the budget: those it names or points
 * at ("the second picture"), else those of the last turns and of the recalled ones. A prompt with
 * attachments of its own refers to those, unless it names or points at others.
 */
export function chooseEarlierMedia(input: EarlierMediaInput): readonly ChosenMedia[] {
  const { archived, attached } = input;
  if (archived.length === 0) return [];
  const reference = readReference(input.prompt);
  const shown: ChosenMedia[] = [];
  let left = input.maxTokens;
  for (const media of new Set(meantBy(input, reference))) {
    if (attached.includes(media.fingerprint)) continue;
    const fitting = fitParts(media, reference, left);
    if (fitting === undefined) continue;
    left -= fitting.estimatedTokens;
    shown.push(fitting);
  }
  return shown.sort((a, b) => a.media.firstAt - b.media.firstAt);
}

/**
 * Best first. Attachments come before what the model generated, and are counted apart: "the second picture"
 * is one that the user attached, if there are as many.
 */
function meantBy(input: EarlierMediaInput, reference: MediaReference): readonly ArchivedMedia[] {
  const { kinds, names, place = -1 } = reference;
  const named = input.archived.filter(({ name }) => names(name));
  if (named.length > 0) return named;
  const generated = input.archived.filter(({ source }) => source.isGenerated);
  const archived = input.archived.filter(({ source }) => !source.isGenerated);
  const attachments = meantOf({ ...input, archived }, reference);
  const isCounted = place >= 0 && archived.filter(({ kind }) => kinds.has(kind)).length > place;
  return isCounted ? attachments : [...attachments, ...meantOf({ ...input, archived: generated }, reference)];
}

function meantOf(input: EarlierMediaInput, { kinds, place }: MediaReference): readonly ArchivedMedia[] {
  const { archived, attached } = input;
  const ofKind = archived.filter(({ kind }) => kinds.has(kind));
  if (place !== undefined && ofKind.length > 0)
    return ofKind.slice(place, place === -1 ? undefined : place + 1);
  if (attached.length > 0) return [];
  const around = [...ofRecent(input), ...ofRecalled(input)];
  if (ofKind.length === 0) return around;
  const nearby = around.filter(({ kind }) => kinds.has(kind));
  return nearby.length > 0 ? nearby : [...ofKind].sort((a, b) => b.lastAt - a.lastAt).slice(0, 1);
}

function ofRecent({ archived, recent }: EarlierMediaInput): readonly ArchivedMedia[] {
  return [...recent]
    .slice(-recentTurnsLookedAt)
    .reverse()
    .flatMap((turn) => ofTurn(turn, archived));
}

function ofRecalled({ archived, recalled }: EarlierMediaInput): readonly ArchivedMedia[] {
  return recalled.slice(0, recalledTurnsLookedAt).flatMap(({ turn }) => ofTurn(turn, archived));
}

function ofTurn(turn: Turn, archived: readonly ArchivedMedia[]): readonly ArchivedMedia[] {
  const generated = turn.messages.flatMap(({ parts }) => parts.filter((part) => part.type === 'file'));
  const fingerprints = new Set([...(turn.media ?? []), ...generated].map(({ fingerprint }) => fingerprint));
  return archived.filter(({ fingerprint }) => fingerprints.has(fingerprint));
}

/** All pictures if they fit, else as many as fit, spread evenly. Sound and text if asked for, or if there are no pictures. */
function fitParts(
  media: ArchivedMedia,
  { asksForSound }: MediaReference,
  maxTokens: number,
): ChosenMedia | undefined {
  const cost = imageTokens(earlierMediaDetail);
  const pictures = media.parts.flatMap((part, index) => (part.mimeType.startsWith('image/') ? [index] : []));
  const others = media.parts.flatMap((part, index) => (part.mimeType.startsWith('image/') ? [] : [index]));
  const otherTokens = others.length === 0 ? 0 : tokensBeside(media, pictures);
  const wantsOthers = others.length > 0 && (asksForSound || pictures.length === 0);
  const forOthers = wantsOthers && otherTokens <= maxTokens ? otherTokens : 0;
  const affordable = Math.floor((maxTokens - forOthers) / cost);
  const kept = spread(pictures, affordable);
  const isEnough = kept.length >= Math.min(pictures.length, fewestFrames);
  if (!isEnough || (pictures.length === 0 && forOthers === 0)) return undefined;
  const parts = [...kept, ...(forOthers > 0 ? others : [])].sort((a, b) => a - b);
  return { media, parts, estimatedTokens: kept.length * cost + forOthers };
}

function tokensBeside(
  { estimatedTokens, parts, source }: ArchivedMedia,
  pictures: readonly number[],
): number {
  const shownAs = (index: number) => imageTokens(parts[index]?.detail ?? 'high');
  const beside = estimatedTokens - pictures.reduce((sum, index) => sum + shownAs(index), 0);
  return Math.max(1, beside || audioTokens(source.durationMs ?? 0));
}

function spread(indexes: readonly number[], count: number): readonly number[] {
  if (count >= indexes.length) return indexes;
  return Array.from({ length: Math.max(0, count) }, (_, slot) => {
    return indexes[Math.floor(((slot + 0.5) * indexes.length) / count)] ?? 0;
  });
}
