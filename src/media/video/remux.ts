import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import type { EncodedPacket, StreamTargetChunk, VideoCodec } from 'mediabunny';
import type { PacketIndex } from './packet-index.js';

export interface Remux {
  /** A Matroska stream of the packets alone. */
  readonly stream: Readable;
  /** Settles when all packets were written or nobody reads on; never rejects. Holds what went wrong. */
  readonly done: Promise<unknown>;
}

/**
 * Writes just some packets of a clip to a stream, as they are read, so that ffmpeg decodes nothing
 * else and no file is written. The times stay the same but for `shiftSeconds`.
 */
export function remuxPackets(
  index: PacketIndex,
  packets: AsyncIterable<EncodedPacket>,
  shiftSeconds: number,
): Remux {
  const stream = new PassThrough({ highWaterMark: 2 ** 20 });
  const done = write(index, packets, shiftSeconds, stream).then(
    () => undefined,
    (error: unknown) => error,
  );
  // Whatever went wrong, what was written so far may be decoded; the count of frames tells.
  return { stream, done: done.finally(() => stream.end()) };
}

async function write(
  index: PacketIndex,
  packets: AsyncIterable<EncodedPacket>,
  shiftSeconds: number,
  stream: PassThrough,
): Promise<void> {
  const { EncodedVideoPacketSource, MkvOutputFormat, Output, StreamTarget } = await import('mediabunny');
  const decoderConfig = await index.track.getDecoderConfig();
  if (!decoderConfig) throw new Error('The clip describes no decoder.');
  const writable = new WritableStream<StreamTargetChunk>({ write: ({ data }) => writeChunk(stream, data) });
  const output = new Output({
    format: new MkvOutputFormat({ appendOnly: true }),
    target: new StreamTarget(writable),
  });
  const source = new EncodedVideoPacketSource(index.codec as VideoCodec);
  output.addVideoTrack(source);
  await output.start();
  try {
    let meta: { decoderConfig: VideoDecoderConfig } | undefined = { decoderConfig };
    for await (const packet of packets) {
      if (stream.destroyed) throw new Error('ffmpeg reads no further.');
      await source.add(packet.clone({ timestamp: packet.timestamp + shiftSeconds }), meta);
      meta = undefined;
    }
    await output.finalize();
  } catch (error) {
    if (output.state !== 'finalized') await output.cancel();
    throw error;
  }
}

async function writeChunk(stream: PassThrough, data: Uint8Array): Promise<void> {
  if (stream.destroyed) throw new Error('ffmpeg reads no further.');
  // Copied, because the muxer may fill the same memory again.
  if (stream.write(Buffer.from(data))) return;
  const settled = new AbortController();
  try {
    await Promise.race(['drain', 'close'].map((event) => once(stream, event, { signal: settled.signal })));
  } finally {
    settled.abort();
  }
}
