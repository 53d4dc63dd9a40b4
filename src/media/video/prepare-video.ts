import { MediaError } from '../../errors.js';
import type { PreparedPart } from '../../types.js';
import { extractSound, prepareRecording, type Sound } from '../audio.js';
import type { FfmpegBinary } from '../ffmpeg-location.js';
import type { PreparedParts } from '../image.js';
import type { MediaSettings } from '../media-options.js';
import type { ReportProgress } from '../progress.js';
import type { SniffedFormat } from '../sniff.js';
import type { LocalSource } from '../source.js';
import { audioTokens, tokensPerImage } from '../tokens.js';
import { framesFromContainer } from './container-frames.js';
import type { FrameContext, VideoFrame } from './decode-frames.js';
import { type MediaProbe, probeFile, type VideoStream } from './probe.js';

export type ContainerFormat = SniffedFormat & { readonly demuxer: string };

interface Tools {
  readonly binary: FfmpegBinary;
  readonly settings: MediaSettings;
  readonly report: ReportProgress;
  readonly signal: AbortSignal;
}

/**
 * A clip as frames over its whole length, then its sound; a container with sound alone as a
 * recording.
 *
 * @throws MediaError `corrupt`, `too-large`, `unavailable`
 */
export async function prepareClip(
  source: LocalSource,
  format: ContainerFormat,
  tools: Tools,
): Promise<PreparedParts & { readonly kind: 'video' | 'audio' }> {
  const { binary, settings, report, signal } = tools;
  report('probing');
  const path = await source.path();
  const probe = await probeFile(path, source.name, format.demuxer, binary, settings, signal);
  checkLimits(probe, source.name, settings);
  if (!probe.video) {
    report('decoding');
    const mimeType = format.kind === 'audio' ? format.mimeType : soundTypeOf(format.mimeType);
    return {
      kind: 'audio',
      ...(await prepareRecording(source, { ...format, mimeType }, probe, binary, settings, signal)),
    };
  }
  const context: FrameContext = {
    name: source.name,
    demuxer: format.demuxer,
    binary,
    settings,
    signal,
    onFrame: (ready) => report('decoding', ready / settings.frames),
  };
  report('decoding');
  const { frames, actualEndMs } = await framesFromContainer(path, probe.video, probe.durationMs, context);
  if (frames.length === 0) throw undecodable(source.name, probe.video);
  report('encoding');
  const sound = await soundOf(path, format, probe, tools);
  return { kind: 'video', ...describeClip(source, format, probe, frames, sound, actualEndMs) };
}

function checkLimits({ durationMs = 0, video }: MediaProbe, name: string, settings: MediaSettings): void {
  if (durationMs > settings.maxDurationMs) {
    const hours = (settings.maxDurationMs / 3_600_000).toFixed(1);
    throw new MediaError(
      'too-large',
      `"${name}" is longer than ${hours} hours. Cut it, or raise maxDurationMs.`,
    );
  }
  if (video && video.width * video.height > settings.maxPixels) {
    throw new MediaError(
      'too-large',
      `The frames of "${name}" have more pixels than maxPixels allows. Scale it down.`,
    );
  }
}

function soundTypeOf(mimeType: string): string {
  return mimeType === 'video/x-ms-wmv' ? 'audio/x-ms-wma' : mimeType.replace(/^video\//, 'audio/');
}

function undecodable(name: string, video: VideoStream): MediaError {
  return new MediaError(
    'corrupt',
    `No picture of "${name}" can be decoded (${video.codec}, ${video.width}x${video.height}): it is damaged, or this ffmpeg lacks its codec. Export it as H.264 in MP4.`,
  );
}

async function soundOf(
  path: string,
  format: ContainerFormat,
  { audio }: MediaProbe,
  tools: Tools,
): Promise<Sound | undefined> {
  const { binary, settings, signal } = tools;
  if (!settings.audio || !audio) return undefined;
  const request = { path, demuxer: format.demuxer, streamIndex: audio.index, maxMs: settings.maxAudioMs };
  return extractSound(request, binary, settings, signal);
}

function describeClip(
  source: LocalSource,
  format: ContainerFormat,
  probe: MediaProbe & { readonly video?: VideoStream | undefined },
  frames: readonly VideoFrame[],
  sound: Sound | undefined,
  actualEndMs: number | undefined,
): PreparedParts {
  const durationMs = probe.durationMs ?? actualEndMs;
  const soundMs = sound
    ? Math.min(sound.durationMs || Number.POSITIVE_INFINITY, durationMs ?? sound.durationMs)
    : 0;
  const pictures: PreparedPart[] = frames.map(({ data, timestampMs }) => ({
    mimeType: 'image/jpeg',
    data,
    timestampMs,
  }));
  return {
    parts: sound ? [...pictures, { mimeType: sound.mimeType, data: sound.data }] : pictures,
    estimatedTokens: pictures.length * tokensPerImage + audioTokens(soundMs),
    source: {
      mimeType: format.mimeType,
      bytes: source.bytes,
      ...uprightSize(probe.video),
      ...(durationMs !== undefined && { durationMs: Math.round(durationMs) }),
      codec: probe.video?.codec,
    },
    note: noteMissing(probe.durationMs, actualEndMs, sound),
  };
}

function uprightSize(video: VideoStream | undefined) {
  if (!video) return {};
  const width = Math.round(video.width * Math.max(1, video.sampleAspectRatio));
  const height = Math.round(video.height * Math.max(1, 1 / video.sampleAspectRatio));
  return video.turned ? { width: height, height: width } : { width, height };
}

/** How much a container may overstate its length before it counts as cut off. */
const toleratedShortfall = 0.9;

function noteMissing(
  claimedMs: number | undefined,
  actualEndMs: number | undefined,
  sound: Sound | undefined,
): string | undefined {
  const notes: string[] = [];
  const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
  if (claimedMs && actualEndMs !== undefined && actualEndMs < claimedMs * toleratedShortfall - 1000) {
    notes.push(`Pictures could only be read for the first ${seconds(actualEndMs)} of ${seconds(claimedMs)}.`);
  }
  if (
    sound &&
    claimedMs &&
    sound.durationMs > 0 &&
    sound.durationMs < claimedMs * toleratedShortfall - 1000
  ) {
    notes.push(`Only the first ${seconds(sound.durationMs)} of the sound are included.`);
  }
  return notes.length ? notes.join(' ') : undefined;
}
