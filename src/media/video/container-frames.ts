import type { VideoStream } from '../ffmpeg/probe.js';
import { cutSpan } from '../source/excerpt.js';
import {
  areInOrder,
  decodeFrames,
  type FrameContext,
  FrameSizeChange,
  type VideoFrame,
} from './frames/decode-frames.js';
import { afterKeyframe, isAt, isReachedAt, selectAny, toleranceSeconds } from './frames/select-filter.js';
import { readTimeline } from './frames/timeline.js';
import { chooseFrames, isSinglePassCheaper, planTargets } from './plan.js';
import { chooseAmong, comparedPerFrame, middlesOf, type ShownFrames } from './scenes/scene-frames.js';

export interface ContainerFrames extends ShownFrames {
  /** How far the pictures really reach, when the whole file had to be read to know. */
  readonly actualEndMs?: number | undefined;
}

/** Concurrent seeks in one clip. */
const parallelSeeks = 2;

/**
 * Frames of any container that ffmpeg opens, with no index but ffmpeg's own: one pass over a short
 * clip, one seek for each frame of a long one. When fewer frames come out than were asked for, the
 * file is read through once to learn what it really holds, and the frames are chosen from that.
 */
export async function framesFromContainer(
  path: string,
  stream: VideoStream,
  durationMs: number | undefined,
  context: FrameContext,
): Promise<ContainerFrames> {
  const { excerpt, name, settings } = context;
  const { frames: wanted } = settings;
  const compare = settings.sampling === 'scenes';
  let sizeChanges = false;
  const decodeAll = async (conditions: readonly string[]) => {
    try {
      return await decodeInOnePass(path, stream, conditions, context);
    } catch (error) {
      if (!(error instanceof FrameSizeChange)) throw error;
      sizeChanges = true;
      return [];
    }
  };
  if (durationMs) {
    const span = cutSpan({ startMs: 0, endMs: durationMs }, excerpt, name);
    const inOnePass = isSinglePassCheaper(span.endMs, stream.fps, wanted);
    const each = compare && inOnePass ? comparedPerFrame(wanted) : 1;
    const targets = planTargets(span, wanted * each);
    const frames = inOnePass
      ? await decodeAll(targets.map(isReachedAt))
      : await seekEach(path, stream, targets, context);
    if (frames.length >= targets.length && areInOrder(frames)) {
      return compare ? chooseAmong(frames, middlesOf(wanted, each), wanted) : { frames };
    }
  }
  const times = await readTimeline(path, stream.index, context);
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined) return { frames: [] };
  // The last frame is there as well, so the end is just after it.
  const span = cutSpan({ startMs: first, endMs: last + 1 }, excerpt, name);
  const within = times.filter((time) => time >= span.startMs && time <= span.endMs);
  const chosen = chooseFrames(within, span, wanted);
  const inOnePass = !sizeChanges && isSinglePassCheaper(span.endMs - first, stream.fps, wanted);
  let found = inOnePass ? await decodeAll(chosen.map(isAt)) : [];
  if (!inOnePass || sizeChanges) found = await seekEach(path, stream, chosen, context);
  // Some decoders skip a frame that repeats the one before: then the first stands for all.
  const usable = found.length > 0 ? found : await decodeAll([isReachedAt(first)]);
  // A damaged clip may have several frames in one millisecond.
  const frames = usable.filter(({ timestampMs }, i) =>
    usable.slice(0, i).every((earlier) => earlier.timestampMs < timestampMs),
  );
  const shown = compare ? chooseAmong(frames, [...frames.keys()], wanted) : { frames };
  return { ...shown, actualEndMs: last };
}

function decodeInOnePass(
  path: string,
  stream: VideoStream,
  conditions: readonly string[],
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  return decodeFrames(
    {
      input: { path },
      demuxer: context.demuxer,
      inputOptions: [],
      outputOptions: ['-map', `0:${stream.index}`, '-frames:v', String(conditions.length)],
      select: [selectAny(conditions)],
      colors: stream.colors,
      offsetMs: 0,
      limit: conditions.length,
      withThumbnails: context.settings.sampling === 'scenes',
    },
    context,
  );
}

async function seekEach(
  path: string,
  stream: VideoStream,
  targetsMs: readonly number[],
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  const found: (VideoFrame | undefined)[] = [];
  let next = 0;
  let ready = 0;
  const seekOnward = async () => {
    while (next < targetsMs.length) {
      const slot = next;
      next += 1;
      const [frame] = await seek(path, stream, targetsMs[slot] ?? 0, {
        ...context,
        onFrame: () => undefined,
      });
      found[slot] = frame;
      ready += 1;
      context.onFrame(ready);
    }
  };
  await Promise.all(Array.from({ length: parallelSeeks }, seekOnward));
  return found.filter((frame) => frame !== undefined);
}

/** Containers without an index: ffmpeg seeks to a keyframe after the requested instant. */
const imprecise = new Set(['mpeg', 'mpegts', 'mpegvideo']);
/** How long before the target to begin decoding in those: most groups of pictures are shorter, then nearly all. */
const leadsMs = [2000, 10_000];

async function seek(
  path: string,
  stream: VideoStream,
  targetMs: number,
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  const from = (leadMs: number, condition: (reached: string) => string) =>
    decodeFrom(path, stream, targetMs, Math.min(leadMs, targetMs), condition, context);
  if (!imprecise.has(context.demuxer)) return from(0, asIs);
  const lateMs = 1.5 * (1000 / (stream.fps ?? 25));
  let frames: readonly VideoFrame[] = [];
  for (const leadMs of leadsMs) {
    frames = await from(leadMs, afterKeyframe);
    if (frames[0] && frames[0].timestampMs <= targetMs + lateMs) break;
  }
  // Some broadcasts have no keyframes at all: they refresh the picture bit by bit.
  return frames.length > 0 ? frames : from(Math.max(...leadsMs), asIs);
}

const asIs = (condition: string) => condition;

/** The frame at a target, decoding from `leadMs` before it. */
function decodeFrom(
  path: string,
  stream: VideoStream,
  targetMs: number,
  leadMs: number,
  condition: (reached: string) => string,
  context: FrameContext,
) {
  // Millisecond rounding must not skip the frame that begins at the target itself.
  const seconds = Math.max(0, (targetMs - leadMs) / 1000 - toleranceSeconds);
  return decodeFrames(
    {
      input: { path },
      demuxer: context.demuxer,
      inputOptions: ['-ss', seconds.toFixed(6)],
      outputOptions: ['-map', `0:${stream.index}`, '-frames:v', '1'],
      select: leadMs > 0 ? [selectAny([condition(isReachedAt(leadMs))])] : [],
      colors: stream.colors,
      offsetMs: seconds * 1000,
      limit: 1,
      withThumbnails: context.settings.sampling === 'scenes',
    },
    context,
  );
}
