import type { MediaCapabilities, MediaDetail, MediaKind } from '../../core/media.js';
import { audioTokens, imageTokens } from '../../core/media-tokens.js';
import type { MediaSettings, ResolvedMediaOptions } from '../media-options.js';

/** How closely a picture is looked at, and how large it has to be for that. */
interface Look {
  readonly detail: MediaDetail;
  /** Longest side in pixels. */
  readonly maxSide: number;
}

/**
 * What each `detail` means for a picture and for a frame of a clip. Frames follow one another, so each
 * needs less.
 */
const looks: Readonly<
  Record<ResolvedMediaOptions['detail'], { readonly picture: Look; readonly frame: Look }>
> = {
  low: { picture: { detail: 'low', maxSide: 512 }, frame: { detail: 'low', maxSide: 512 } },
  auto: { picture: { detail: 'high', maxSide: 768 }, frame: { detail: 'medium', maxSide: 768 } },
  high: { picture: { detail: 'ultra-high', maxSide: 1536 }, frame: { detail: 'high', maxSide: 1024 } },
};

/** With fewer, a clip does not show that anything moves. */
const fewestFrames = 2;

/** What one call asks for beside the options. */
export interface SettingsRequest {
  readonly maxTokens?: number | undefined;
  readonly accepts?: MediaCapabilities | undefined;
}

/**
 * The settings with which an attachment costs at most `maxTokens`: first its pictures are looked at
 * less closely, if the model supports that, then there are fewer of them, and sound gets what they leave.
 * A picture and two frames are always shown.
 */
export function settingsFor(
  options: ResolvedMediaOptions,
  kind: MediaKind,
  { accepts, maxTokens = Number.POSITIVE_INFINITY }: SettingsRequest = {},
): MediaSettings {
  const isClip = kind === 'video' || kind === 'audio';
  const subject = isClip ? 'frame' : 'picture';
  const hasDetail = accepts === undefined || accepts.detail === true;
  const wanted = isClip ? options.frames : Math.max(options.maxPages, options.maxTiles + 1);
  const best = looks[options.detail][subject];
  const costOf = (look: Look) => imageTokens(hasDetail ? look.detail : undefined);
  const look = hasDetail && wanted * costOf(best) > maxTokens ? looks.low[subject] : best;
  const affordable = Math.floor(maxTokens / costOf(look));
  const atMost = (count: number, fewest: number) =>
    Math.max(Math.min(count, fewest), Math.min(count, affordable));
  const frames = atMost(options.frames, fewestFrames);
  const tokensLeft = Math.max(0, maxTokens - (kind === 'video' ? frames * costOf(look) : 0));
  return {
    ...options,
    accepts,
    detail: hasDetail ? look.detail : undefined,
    maxSide: options.maxSide ?? look.maxSide,
    frames,
    maxPages: atMost(options.maxPages, 1),
    maxTiles: Math.min(options.maxTiles, Math.max(0, affordable - 1)),
    maxAudioMs: Math.min(options.maxAudioMs, (tokensLeft / audioTokens(1000)) * 1000),
  };
}
