import type { EncodedPacket } from 'mediabunny';
import { cutSpan, type Span } from '../excerpt.js';
import { demuxerOfRemux } from '../sniff.js';
import { chooseScenes } from './choose-scenes.js';
import {
  areInOrder,
  type DecodeRequest,
  decodeFrames,
  decodeThumbnails,
  type FrameContext,
  type VideoFrame,
} from './decode-frames.js';
import { findNeighbours, frameAt, keyPackets, type PacketIndex, packetsUpTo } from './packet-index.js';
import { chooseKeyframes, nearestKeyframes, planTargets } from './plan.js';
import { remuxPackets } from './remux.js';
import { chooseAmong, comparedPerFrame, middlesOf, type ShownFrames } from './scene-frames.js';
import { isAt } from './select.js';

/**
 * Frames of a clip by way of its packet index: the nearest keyframes where they are near enough,
 * which costs the same for a minute as for an hour; otherwise the exact frames, decoding from the
 * keyframe before each. Nothing when the clip does not give as many as were asked for this way.
 */
export async function framesFromIndex(
  index: PacketIndex,
  context: FrameContext,
): Promise<ShownFrames | undefined> {
  const { frames: wanted, accuracy, sampling } = context.settings;
  const span = cutSpan(index.span, context.excerpt, context.name);
  const targets = planTargets(span, wanted);
  const byScenes = sampling === 'scenes';
  const keyframes =
    accuracy === 'auto' || byScenes ? chooseKeyframes(await findNeighbours(index, targets), span) : undefined;
  const isShort = span.endMs - span.startMs <= shortMs;
  const scenes =
    byScenes &&
    (keyframes && !isShort
      ? await scenesOfKeyframes(index, span, keyframes, context)
      : await scenesOfAllFrames(index, span, context));
  if (scenes) return scenes;
  const found =
    keyframes && accuracy === 'auto'
      ? await decodeKeyframes(index, keyframes, context)
      : await decodeExact(index, await framesShownAt(index, targets), wanted, context);
  return found.length === wanted && areInOrder(found) ? { frames: found } : undefined;
}

/** Up to here a clip is decoded whole to find its scenes, since some may lie between two keyframes. */
const shortMs = 30_000;
/** The same for a clip with too few keyframes, most of which has to be decoded whatever is shown of it. */
const longestDecodedMs = 120_000;

/** The scenes that small pictures of keyframes over the whole length tell apart. */
async function scenesOfKeyframes(
  index: PacketIndex,
  span: Span,
  uniform: readonly number[],
  context: FrameContext,
): Promise<ShownFrames | undefined> {
  const { frames: wanted } = context.settings;
  const targets = planTargets(span, wanted * comparedPerFrame(wanted));
  const within = nearestKeyframes(await findNeighbours(index, targets)).filter(
    (timeMs) => timeMs >= span.startMs && timeMs < span.endMs,
  );
  const times = [...new Set([...within, ...uniform])].sort((a, b) => a - b);
  const thumbnails = await decode(index, keyPackets(index, times), times, (request) =>
    decodeThumbnails(request, context),
  );
  if (thumbnails.length < times.length) return undefined;
  const picks = uniform.map((timeMs) => times.indexOf(timeMs));
  const chosen = chooseScenes(thumbnails, picks, wanted).map((pick) => times[pick] ?? 0);
  const frames = await decodeKeyframes(index, chosen, context);
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
  const packets = await framesShownAt(index, planTargets(span, wanted * each));
  const frames = await decodeExact(index, packets, wanted * each, context);
  if (frames.length < wanted * each || !areInOrder(frames)) return undefined;
  return chooseAmong(frames, middlesOf(wanted, each), wanted);
}

/** The frames on screen at the targets, each once. */
async function framesShownAt(
  index: PacketIndex,
  targetsMs: readonly number[],
): Promise<readonly EncodedPacket[]> {
  const chosen: EncodedPacket[] = [];
  for (const targetMs of targetsMs) {
    const packet = await frameAt(index, targetMs);
    if (packet && packet.timestamp !== chosen.at(-1)?.timestamp) chosen.push(packet);
  }
  return chosen;
}

async function decodeExact(
  index: PacketIndex,
  chosen: readonly EncodedPacket[],
  wanted: number,
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  // Fewer frames than targets: the clip is uneven, and how to choose then needs every frame's time.
  if (chosen.length < wanted) return [];
  const times = chosen.map((packet) => packet.timestamp * 1000);
  const withThumbnails = context.settings.sampling === 'scenes';
  return decode(index, packetsUpTo(index, chosen), times, (request) =>
    decodeFrames({ ...request, withThumbnails }, context),
  );
}

function decodeKeyframes(
  index: PacketIndex,
  timesMs: readonly number[],
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  return decode(index, keyPackets(index, timesMs), timesMs, (request) => decodeFrames(request, context));
}

/** Pixels of full HD, up to which a second thread costs more processor time than it saves waiting. */
const singleThreadPixels = 1920 * 1088;

async function decode<T>(
  index: PacketIndex,
  packets: AsyncIterable<EncodedPacket>,
  timesMs: readonly number[],
  run: (request: DecodeRequest) => Promise<readonly T[]>,
): Promise<readonly T[]> {
  // Matroska has no times below zero, and pictures before an edit list's cut have them.
  const shiftMs = Math.max(0, -(await index.track.getFirstTimestamp()) * 1000);
  const { stream, done } = remuxPackets(index, packets, shiftMs / 1000);
  const frames = await run({
    input: { stream },
    demuxer: demuxerOfRemux,
    inputOptions: [
      // The header says all there is to know, so no packets are decoded only to learn it.
      ...['-copyts', '-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0'],
      ...(index.codedPixels > singleThreadPixels ? [] : ['-threads', '1']),
    ],
    outputOptions: ['-map', '0:v:0', '-frames:v', String(timesMs.length)],
    select: [`select='${timesMs.map((timeMs) => isAt(timeMs + shiftMs)).join('+')}'`],
    colours: index.colours,
    shape: index.shape,
    offsetMs: -shiftMs,
    limit: timesMs.length,
  });
  await done;
  return frames;
}
