import { cutSpan, type Span } from '../source/excerpt.js';
import { demuxerOfRemux } from '../source/formats.js';
import {
  areInOrder,
  type DecodeRequest,
  decodeFrames,
  decodeThumbnails,
  type FrameContext,
  type VideoFrame,
} from './frames/decode-frames.js';
import { isAt, selectAny } from './frames/select-filter.js';
import type { PacketIndex } from './index/packet-index.js';
import { chooseKeyframes, chooseNearby, exactly, nearestKeyframes, planTargets } from './plan.js';
import { chooseScenes } from './scenes/choose-scenes.js';
import { chooseAmong, comparedPerFrame, middlesOf, type ShownFrames } from './scenes/scene-frames.js';

/**
 * Frames of a clip by its packet index, decoding no more than they need. If they need not be exact, nearby
 * keyframes are taken, which costs the same for an hour as for a minute. `undefined` if the clip does not
 * give the requested number this way.
 */
export async function framesFromIndex(
  index: PacketIndex,
  context: FrameContext,
): Promise<ShownFrames | undefined> {
  const { frames: wanted, accuracy, sampling } = context.settings;
  const span = cutSpan(index.span, context.excerpt, context.name);
  const targets = planTargets(span, wanted);
  const byScenes = sampling === 'scenes';
  const isExact = accuracy === 'exact';
  const neighbors = isExact && !byScenes ? [] : await index.neighbors(targets);
  const keyframes = chooseKeyframes(neighbors, span);
  const isShort = span.endMs - span.startMs <= shortMs;
  const scenes =
    byScenes &&
    (keyframes?.length && !isShort
      ? await scenesOfKeyframes(
          index,
          span,
          isExact ? await index.shownAt(targets.map(exactly)) : keyframes,
          context,
        )
      : await scenesOfAllFrames(index, span, context));
  if (scenes) return scenes;
  const nearby = isExact ? [] : await index.shownAt(chooseNearby(neighbors, span));
  // Where frames are few, two targets may share the one nearby.
  const times = nearby.length === wanted ? nearby : await index.shownAt(targets.map(exactly));
  const found = await decodeExact(index, times, wanted, context);
  return found.length === wanted && areInOrder(found) ? { frames: found } : undefined;
}

/** A clip up to this length is decoded whole to find its scenes, since some may lie between two keyframes. */
const shortMs = 30_000;
/** The same for a clip with too few keyframes, most of which has to be decoded in any case. */
const longestDecodedMs = 120_000;

/** Scenes by thumbnails of keyframes over the whole length and of the frames that uniform sampling takes. */
async function scenesOfKeyframes(
  index: PacketIndex,
  span: Span,
  uniform: readonly number[],
  context: FrameContext,
): Promise<ShownFrames | undefined> {
  const { frames: wanted } = context.settings;
  const targets = planTargets(span, wanted * comparedPerFrame(wanted));
  const within = nearestKeyframes(await index.neighbors(targets)).filter(
    (timeMs) => timeMs >= span.startMs && timeMs < span.endMs,
  );
  const times = [...new Set([...within, ...uniform])].sort((a, b) => a - b);
  const thumbnails = await decode(index, times, (request) => decodeThumbnails(request, context));
  if (thumbnails.length < times.length) return undefined;
  const picks = uniform.map((timeMs) => times.indexOf(timeMs));
  const chosen = chooseScenes(thumbnails, picks, wanted).map((pick) => times[pick] ?? 0);
  const frames = await decodeAt(index, chosen, context);
  if (frames.length < chosen.length || !areInOrder(frames)) return undefined;
  return { frames, othersAlike: frames.length < wanted };
}

/** The scenes of a short clip, or of one with few keyframes. */
async function scenesOfAllFrames(
  index: PacketIndex,
  span: Span,
  context: FrameContext,
): Promise<ShownFrames | undefined> {
  const { frames: wanted } = context.settings;
  const each = span.endMs - span.startMs > longestDecodedMs ? 1 : comparedPerFrame(wanted);
  const times = await index.shownAt(planTargets(span, wanted * each).map(exactly));
  const frames = await decodeExact(index, times, wanted * each, context);
  if (frames.length < wanted * each || !areInOrder(frames)) return undefined;
  return chooseAmong(frames, middlesOf(wanted, each), wanted);
}

async function decodeExact(
  index: PacketIndex,
  timesMs: readonly number[],
  wanted: number,
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  // Fewer frames than targets: the clip is uneven, and choosing then needs the time of every frame.
  if (timesMs.length < wanted) return [];
  const withThumbnails = context.settings.sampling === 'scenes';
  return decode(index, timesMs, (request) => decodeFrames({ ...request, withThumbnails }, context));
}

/** The frames at times that are known. */
function decodeAt(
  index: PacketIndex,
  timesMs: readonly number[],
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  return decode(index, timesMs, (request) => decodeFrames(request, context));
}

function decode<T>(
  index: PacketIndex,
  timesMs: readonly number[],
  run: (request: DecodeRequest) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  // Matroska has no times below zero, and pictures before an edit list's cut have them.
  const shiftMs = Math.max(0, -index.firstMs);
  return run({
    input: { stream: index.packets({ timesMs, shiftMs }) },
    demuxer: demuxerOfRemux,
    inputOptions: [
      // The header is complete, so no packets are decoded only to probe the stream.
      ...['-copyts', '-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0'],
      // A second thread costs more processor time than it saves waiting, and 30 MB more at 4K.
      ...['-threads', '1'],
    ],
    outputOptions: ['-map', '0:v:0', '-frames:v', String(timesMs.length)],
    select: [selectAny(timesMs.map((timeMs) => isAt(timeMs + shiftMs)))],
    colors: index.colors,
    shape: index.shape,
    offsetMs: -shiftMs,
    limit: timesMs.length,
  });
}
