import { MediaError } from '../../core/errors.js';
import { videoTokens } from '../budget/media-tokens.js';
import type { FfmpegBinary } from '../ffmpeg/ffmpeg-location.js';
import { probeFile } from '../ffmpeg/probe.js';
import type { MediaSettings } from '../media-options.js';
import type { LocalSource } from '../source/source.js';
import type { PreparedContent } from '../work/prepared-parts.js';
import type { ContainerFormat } from './prepare-video.js';

/**
 * Containers that Gemini decodes itself, under the names that it has for them:
 * https://ai.google.dev/gemini-api/docs/video-understanding#supported-formats
 */
const acceptedTypes: Readonly<Record<string, string>> = {
  'video/mp4': 'video/mp4',
  'video/quicktime': 'video/mov',
  'video/webm': 'video/webm',
  'video/mpeg': 'video/mpeg',
  'video/x-msvideo': 'video/avi',
  'video/x-flv': 'video/x-flv',
  'video/x-ms-wmv': 'video/wmv',
  'video/3gpp': 'video/3gpp',
};

interface Tools {
  readonly binary: FfmpegBinary;
  readonly settings: MediaSettings;
  readonly signal: AbortSignal;
}

/**
 * The clip as one part to be uploaded as it is; nothing when Gemini does not take it so, or when there
 * is no picture in it.
 *
 * @throws MediaError `corrupt`, `too-large`, `unavailable`
 */
export async function prepareWholeClip(
  source: LocalSource,
  format: ContainerFormat,
  { binary, settings, signal }: Tools,
): Promise<PreparedContent | undefined> {
  const mimeType = acceptedTypes[format.mimeType];
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
  if (durationMs !== undefined && durationMs > settings.maxDurationMs) {
    const hours = (settings.maxDurationMs / 3_600_000).toFixed(1);
    throw new MediaError(
      'too-large',
      `"${source.name}" is longer than ${hours} hours. Cut it, or raise maxDurationMs.`,
    );
  }
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
