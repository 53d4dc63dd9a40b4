import { videoTokens } from '../../core/media-tokens.js';
import type { FfmpegBinary } from '../ffmpeg/ffmpeg-location.js';
import { probeFile } from '../ffmpeg/probe.js';
import type { MediaSettings } from '../media-options.js';
import type { ContainerFormat } from '../source/formats.js';
import type { LocalSource } from '../source/source.js';
import type { PreparedContent } from '../work/prepared-content.js';
import { checkLimits } from './check-limits.js';

interface ClipDeps {
  readonly binary: FfmpegBinary;
  readonly settings: MediaSettings;
  readonly signal: AbortSignal;
}

/**
 * The clip as one part to be uploaded as it is; `undefined` if the model does not take it so, or if there
 * is no picture in it.
 *
 * @throws MediaError `corrupt`, `too-large`, `unavailable`
 */
export async function prepareWholeClip(
  source: LocalSource,
  format: ContainerFormat,
  { binary, settings, signal }: ClipDeps,
): Promise<PreparedContent | undefined> {
  const { accepts } = settings;
  const mimeType = accepts ? accepts.upload?.[format.mimeType] : format.mimeType;
  if (mimeType === undefined) return undefined;
  const path = await source.path();
  const { audio, durationMs, video } = await probeFile(
    path,
    source.name,
    format.demuxer,
    binary,
    settings,
    signal,
  );
  if (video === undefined) return undefined;
  checkLimits(durationMs, undefined, source.name, settings);
  const { startMs = 0, endMs = Number.POSITIVE_INFINITY } = source.excerpt ?? {};
  const shownMs = Math.max(0, Math.min(endMs, durationMs ?? 0) - startMs);
  const { codec, height, turned, width } = video;
  return {
    parts: [
      {
        mimeType,
        data: new Uint8Array(),
        path,
        ...(source.excerpt && { excerpt: { startMs, endMs: Number.isFinite(endMs) ? endMs : undefined } }),
      },
    ],
    estimatedTokens: videoTokens(shownMs, audio !== undefined),
    source: {
      mimeType: format.mimeType,
      bytes: source.bytes,
      ...(turned ? { width: height, height: width } : { width, height }),
      durationMs,
      codec,
    },
  };
}
