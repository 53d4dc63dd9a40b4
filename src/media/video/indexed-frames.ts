import type { EncodedPacket } from 'mediabunny';
import { cutSpan } from '../excerpt.js';
import { demuxerOfRemux } from '../sniff.js';
import { areInOrder, decodeFrames, type FrameContext, type VideoFrame } from './decode-frames.js';
import { findNeighbours, frameAt, keyPackets, type PacketIndex, packetsUpTo } from './packet-index.js';
import { chooseKeyframes, planTargets } from './plan.js';
import { remuxPackets } from './remux.js';
import { isAt } from './select.js';

/**
 * Frames of a clip by way of its packet index: the nearest keyframes where they are near enough,
 * which costs the same for a minute as for an hour; otherwise the exact frames, decoding from the
 * keyframe before each. Nothing when the clip does not give as many as were asked for this way.
 */
export async function framesFromIndex(
  index: PacketIndex,
  context: FrameContext,
): Promise<readonly VideoFrame[] | undefined> {
  const { frames: wanted, accuracy } = context.settings;
  const span = cutSpan(index.span, context.excerpt, context.name);
  const targets = planTargets(span, wanted);
  const keyframes =
    accuracy === 'auto' ? chooseKeyframes(await findNeighbours(index, targets), span) : undefined;
  const found = keyframes
    ? await decode(index, keyPackets(index, keyframes), keyframes, context)
    : await decodeExact(index, targets, context);
  return found.length === wanted && areInOrder(found) ? found : undefined;
}

async function decodeExact(
  index: PacketIndex,
  targetsMs: readonly number[],
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  const chosen: EncodedPacket[] = [];
  for (const targetMs of targetsMs) {
    const packet = await frameAt(index, targetMs);
    if (packet && packet.timestamp !== chosen.at(-1)?.timestamp) chosen.push(packet);
  }
  // Fewer frames than targets: the clip is uneven, and how to choose then needs every frame's time.
  if (chosen.length < targetsMs.length) return [];
  return decode(
    index,
    packetsUpTo(index, chosen),
    chosen.map((packet) => packet.timestamp * 1000),
    context,
  );
}

async function decode(
  index: PacketIndex,
  packets: AsyncIterable<EncodedPacket>,
  timesMs: readonly number[],
  context: FrameContext,
): Promise<readonly VideoFrame[]> {
  // Matroska has no times below zero, and pictures before an edit list's cut have them.
  const shiftMs = Math.max(0, -(await index.track.getFirstTimestamp()) * 1000);
  const { stream, done } = remuxPackets(index, packets, shiftMs / 1000);
  const frames = await decodeFrames(
    {
      input: { stream },
      demuxer: demuxerOfRemux,
      // The header says all there is to know, so no packets are decoded only to learn it.
      inputOptions: ['-copyts', '-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0'],
      outputOptions: ['-map', '0:v:0', '-frames:v', String(timesMs.length)],
      select: [`select='${timesMs.map((timeMs) => isAt(timeMs + shiftMs)).join('+')}'`],
      colours: index.colours,
      shape: index.shape,
      offsetMs: -shiftMs,
      limit: timesMs.length,
    },
    context,
  );
  await done;
  return frames;
}
