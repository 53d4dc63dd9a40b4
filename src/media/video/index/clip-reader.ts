import type {
  EncodedPacket,
  EncodedPacketSink,
  Input,
  InputVideoTrack,
  StreamTargetChunk,
  VideoCodec,
} from 'mediabunny';
import type { KeyframeNeighbors, Moment } from '../plan.js';
import { breakLink, isDisposable, type UnitFormat, unitHeaders } from './coded-units.js';
import type { TrackDescription } from './index-messages.js';

const metadataOnly = { metadataOnly: true };
/** A microsecond, so that a time that went through milliseconds still finds the packet that begins then. */
const nudgeSeconds = 1e-6;
/** A stated duration from here on is not believed, but measured by the last packet. */
const longestStatedSeconds = 9 * 3600;

export async function describeTrack(
  input: Input,
  track: InputVideoTrack,
  codec: string,
): Promise<TrackDescription> {
  const firstSeconds = await track.getFirstTimestamp();
  const stated = await track.getDurationFromMetadata();
  // A live recording may state its length without the start, and a broken one anything.
  const isPlausible = stated !== null && stated > firstSeconds && stated < longestStatedSeconds;
  return {
    codec,
    hasAudio: (await input.getPrimaryAudioTrack()) !== null,
    firstSeconds,
    originSeconds: await input.getFirstTimestamp(),
    endSeconds: isPlausible ? stated : await track.computeDuration(),
    rotation: await track.getRotation(),
    flip: await track.getFlip(),
    squareWidth: await track.getSquarePixelWidth(),
    squareHeight: await track.getSquarePixelHeight(),
    codedWidth: await track.getCodedWidth(),
    codedHeight: await track.getCodedHeight(),
    colors: await track.getColorSpace(),
  };
}

/** The keyframes around each target; none for a clip without any. */
export async function findNeighbors(
  sink: EncodedPacketSink,
  targetsMs: readonly number[],
): Promise<readonly KeyframeNeighbors[]> {
  const neighbors: KeyframeNeighbors[] = [];
  for (const targetMs of targetsMs) {
    const before =
      (await sink.getKeyPacket(targetMs / 1000, metadataOnly)) ??
      (await sink.getFirstKeyPacket(metadataOnly));
    if (!before) return [];
    const after = await sink.getNextKeyPacket(before, metadataOnly);
    neighbors.push({
      targetMs,
      beforeMs: before.timestamp * 1000,
      afterMs: after ? after.timestamp * 1000 : undefined,
    });
  }
  return neighbors;
}

/** The times of the frames at these moments, each once. */
export async function findShown(
  sink: EncodedPacketSink,
  moments: readonly Moment[],
): Promise<readonly number[]> {
  const at = (seconds: number) => sink.getPacket(seconds + nudgeSeconds, metadataOnly);
  const times: number[] = [];
  for (const { fromMs, toMs } of moments) {
    let packet = await at(fromMs / 1000);
    if (packet && packet.timestamp + nudgeSeconds < fromMs / 1000) {
      // It began before: the next one, or else what is on screen at the end.
      const next = Math.min(packet.timestamp + packet.duration, toMs / 1000);
      packet = await at(Math.max(next, fromMs / 1000));
    }
    const timeMs = packet && packet.timestamp * 1000;
    if (timeMs !== null && timeMs !== times.at(-1)) times.push(timeMs);
  }
  return times;
}

/**
 * Everything that has to be decoded to see the frames at these times, in the order of decoding: from the
 * keyframe before each up to the frame itself, nothing twice, without pictures in between that no other
 * refers to.
 */
export async function* packetsUpTo(
  sink: EncodedPacketSink,
  codec: string,
  timesMs: readonly number[],
  { lengthBytes, hasOneLayer }: UnitFormat,
): AsyncGenerator<EncodedPacket> {
  const frames: EncodedPacket[] = [];
  for (const timeMs of timesMs) {
    const frame = await sink.getPacket(timeMs / 1000 + nudgeSeconds, metadataOnly);
    if (frame) frames.push(frame);
  }
  const wanted = new Set(frames.map(({ sequenceNumber }) => sequenceNumber));
  let current: EncodedPacket | null = null;
  for (const frame of frames) {
    const key: EncodedPacket | null = await sink.getKeyPacket(frame.timestamp, metadataOnly);
    if (!key) continue;
    const continues: boolean = current !== null && current.sequenceNumber >= key.sequenceNumber;
    current = continues && current ? current : await sink.getKeyPacket(key.timestamp);
    if (!current) continue;
    if (!continues && codec === 'hevc') {
      const { data } = current;
      yield current.clone({ data: breakLink(data, unitHeaders(data, lengthBytes)) });
    } else if (!continues) yield current;
    while (current.sequenceNumber < frame.sequenceNumber) {
      const next: EncodedPacket | null = await sink.getNextPacket(current);
      if (!next) break;
      current = next;
      const isLeftOut =
        hasOneLayer &&
        !wanted.has(next.sequenceNumber) &&
        isDisposable(codec, next.data, unitHeaders(next.data, lengthBytes));
      if (!isLeftOut) yield next;
    }
  }
}

/** Writes packets as a Matroska stream, so that ffmpeg decodes nothing else and no file is written. */
export async function writeMatroska(
  mediabunny: typeof import('mediabunny'),
  track: InputVideoTrack,
  packets: AsyncIterable<EncodedPacket>,
  shiftSeconds: number,
  writable: WritableStream<StreamTargetChunk>,
): Promise<void> {
  const { EncodedVideoPacketSource, MkvOutputFormat, Output, StreamTarget } = mediabunny;
  const [codec, decoderConfig] = [await track.getCodec(), await track.getDecoderConfig()];
  if (!codec || !decoderConfig) throw new Error('The clip describes no decoder.');
  const output = new Output({
    format: new MkvOutputFormat({ appendOnly: true }),
    // Pieces of their own memory, which can be given away. Larger ones cost fewer messages, smaller ones less memory.
    target: new StreamTarget(writable, { chunked: true, chunkSize: 2 ** 18 }),
  });
  const source = new EncodedVideoPacketSource(codec as VideoCodec);
  output.addVideoTrack(source);
  await output.start();
  try {
    let meta: { decoderConfig: VideoDecoderConfig } | undefined = { decoderConfig };
    for await (const packet of packets) {
      await source.add(packet.clone({ timestamp: packet.timestamp + shiftSeconds }), meta);
      meta = undefined;
    }
    await output.finalize();
  } catch (error) {
    if (output.state !== 'finalized') await output.cancel();
    throw error;
  }
}
