import { MediaError } from '../../core/errors.js';
import type { PreparedPart } from '../../core/media.js';
import { audioTokens, imageTokens } from '../../core/media-tokens.js';
import { extractSound, prepareRecording, type Sound, type SoundRequest } from '../audio/audio.js';
import { encodingsFor } from '../audio/sound-encodings.js';
import type { FfmpegBinary } from '../ffmpeg/ffmpeg-location.js';
import { type MediaProbe, probeFile, type VideoStream } from '../ffmpeg/probe.js';
import type { MediaSettings } from '../media-options.js';
import { pictureType, takesPictures } from '../model-accepts.js';
import type { ContainerFormat } from '../source/formats.js';
import type { LocalSource } from '../source/source.js';
import type { PreparedContent } from '../work/prepared-content.js';
import type { ReportProgress } from '../work/progress.js';
import { checkLimits } from './check-limits.js';
import { framesFromContainer } from './container-frames.js';
import type { FrameContext } from './frames/decode-frames.js';
import { openPacketIndex, type PacketIndex } from './index/packet-index.js';
import { framesFromIndex } from './indexed-frames.js';
import { lengthShown, noteOn } from './note.js';
import type { ShownFrames } from './scenes/scene-frames.js';

interface ClipDeps {
  readonly binary: FfmpegBinary;
  readonly settings: MediaSettings;
  readonly report: ReportProgress;
  readonly signal: AbortSignal;
}

/** A clip after decoding, by either path. */
interface Clip extends ShownFrames {
  readonly codec: string;
  /** Upright, in square pixels. */
  readonly width: number;
  readonly height: number;
  /** As the container claims. */
  readonly durationMs: number | undefined;
  /** How far the pictures really reach, if the whole file was read. */
  readonly actualEndMs?: number | undefined;
  readonly soundStream: SoundRequest['stream'] | undefined;
}

/**
 * A clip as frames over its whole length, then its sound; a container with sound alone as a
 * recording.
 *
 * @throws MediaError `corrupt`, `too-large`, `unavailable`, `unsupported`
 */
export async function prepareClip(
  source: LocalSource,
  format: ContainerFormat,
  deps: ClipDeps,
): Promise<PreparedContent & { readonly kind: 'video' | 'audio' }> {
  const { binary, settings, report, signal } = deps;
  const context: FrameContext = {
    name: source.name,
    demuxer: format.demuxer,
    binary,
    excerpt: source.excerpt,
    settings,
    signal,
    onFrame: (ready) => report('decoding', ready / settings.frames),
  };
  report('probing');
  const indexed = await readIndexed(source, format, context, report);
  if (indexed) return { kind: 'video', ...(await assemble(source, format, indexed, deps)) };
  const path = await source.path();
  const probe = await probeFile(path, source.name, format.demuxer, binary, settings, signal);
  checkLimits(probe.durationMs, probe.video && probe.video.width * probe.video.height, source.name, settings);
  report('decoding');
  if (!probe.video) {
    return {
      kind: 'audio',
      ...(await prepareRecording(source, format, probe, binary, settings, signal)),
    };
  }
  if (!takesPictures(settings.accepts)) throw unseen(source.name);
  const clip = await readContainer(path, probe, probe.video, context);
  if (clip.frames.length === 0) throw undecodable(source.name, probe.video);
  return { kind: 'video', ...(await assemble(source, format, clip, deps)) };
}

/** The fast path; `undefined` if the container has no index that can be used. */
async function readIndexed(
  source: LocalSource,
  format: ContainerFormat,
  context: FrameContext,
  report: ReportProgress,
): Promise<Clip | undefined> {
  if (!format.indexer || format.kind !== 'video' || !takesPictures(context.settings.accepts))
    return undefined;
  let index: PacketIndex | undefined;
  try {
    index = await openPacketIndex(source, format.indexer);
    if (!index) return undefined;
    const { span, shape, codec, hasAudio } = index;
    checkLimits(span.endMs, index.codedPixels, source.name, context.settings);
    report('decoding');
    const shown = await framesFromIndex(index, context);
    if (!shown) return undefined;
    const { width, height } = shape;
    return {
      ...shown,
      codec: codecNames[codec] ?? codec,
      width,
      height,
      durationMs: span.endMs,
      soundStream: hasAudio ? 'a:0' : undefined,
    };
  } catch (error) {
    context.signal.throwIfAborted();
    if (MediaError.isInstance(error)) throw error;
    // A damaged index does not mean damaged pictures: ffmpeg reads many files that mediabunny cannot.
    return undefined;
  } finally {
    index?.close();
  }
}

/** ffmpeg's names of codecs that mediabunny names differently. */
const codecNames: Readonly<Record<string, string>> = { avc: 'h264' };

async function readContainer(
  path: string,
  probe: MediaProbe,
  video: VideoStream,
  context: FrameContext,
): Promise<Clip> {
  const shown = await framesFromContainer(path, video, probe.durationMs, context);
  const { durationMs, audio } = probe;
  return {
    ...shown,
    codec: video.codec,
    ...uprightSize(video),
    durationMs,
    soundStream: audio?.index,
  };
}

function unseen(name: string): MediaError {
  return new MediaError(
    'unsupported',
    `"${name}" is a clip, and this model sees no pictures. Ask another model.`,
  );
}

function undecodable(name: string, video: VideoStream): MediaError {
  return new MediaError(
    'corrupt',
    `No picture of "${name}" can be decoded (${video.codec}, ${video.width}x${video.height}): it is damaged, or this ffmpeg lacks its codec. Export it as H.264 in MP4.`,
  );
}

async function assemble(
  source: LocalSource,
  format: ContainerFormat,
  clip: Clip,
  deps: ClipDeps,
): Promise<PreparedContent> {
  const { detail } = deps.settings;
  deps.report('encoding');
  const stream = wantedSound(clip, deps.settings);
  const isUnheard = stream !== undefined && encodingsFor(deps.settings.accepts).length === 0;
  const sound = stream === undefined || isUnheard ? undefined : await soundOf(source, format, stream, deps);
  const durationMs = clip.durationMs ?? clip.actualEndMs;
  const shownMs = durationMs && lengthShown(durationMs, source.excerpt);
  const soundMs = sound
    ? Math.min(sound.durationMs || Number.POSITIVE_INFINITY, shownMs ?? sound.durationMs)
    : 0;
  const pictures: PreparedPart[] = clip.frames.map(({ data, timestampMs }) => ({
    mimeType: pictureType,
    data,
    timestampMs,
    ...(detail && { detail }),
  }));
  return {
    parts: sound ? [...pictures, { mimeType: sound.mimeType, data: sound.data }] : pictures,
    estimatedTokens: pictures.length * imageTokens(detail) + audioTokens(soundMs),
    source: {
      mimeType: format.mimeType,
      bytes: source.bytes,
      width: clip.width,
      height: clip.height,
      ...(durationMs !== undefined && { durationMs: Math.round(durationMs) }),
      codec: clip.codec,
    },
    note: noteOn(clip, sound, source.excerpt, isUnheard),
  };
}

function wantedSound(clip: Clip, { audio, maxAudioMs }: MediaSettings): Clip['soundStream'] {
  return audio && maxAudioMs > 0 ? clip.soundStream : undefined;
}

async function soundOf(
  source: LocalSource,
  format: ContainerFormat,
  stream: SoundRequest['stream'],
  { binary, settings, signal }: ClipDeps,
): Promise<Sound | undefined> {
  const request: SoundRequest = {
    name: source.name,
    path: await source.path(),
    demuxer: format.demuxer,
    stream,
    startMs: source.excerpt?.startMs,
    maxMs: Math.min(settings.maxAudioMs, lengthShown(Number.POSITIVE_INFINITY, source.excerpt)),
  };
  return extractSound(request, binary, settings, signal);
}

function uprightSize(video: VideoStream): { width: number; height: number } {
  const width = Math.round(video.width * Math.max(1, video.sampleAspectRatio));
  const height = Math.round(video.height * Math.max(1, 1 / video.sampleAspectRatio));
  return video.turned ? { width: height, height: width } : { width, height };
}
