import type { EncodedPacket } from 'mediabunny';

/** Slice types of HEVC, H.265 table 7-1: clean random access, and broken link access with leading pictures. */
const cleanRandomAccess = 21;
const brokenLinkAccess = 16;

/**
 * How many bytes tell the length of each unit in a packet of HEVC: the low bits of byte 21 of the
 * decoder's description, ISO/IEC 14496-15 8.3.2.1.
 */
export function unitLengthBytes(description: AllowSharedBufferSource | undefined): number {
  if (!description) return 4;
  const bytes = ArrayBuffer.isView(description)
    ? new Uint8Array(description.buffer, description.byteOffset, description.byteLength)
    : new Uint8Array(description);
  return ((bytes[21] ?? 3) & 3) + 1;
}

/**
 * An HEVC keyframe as it has to be where packets before it were left out. The keyframe of an open group
 * goes on with the count by which pictures are put in order, and so comes out in the wrong place. Told
 * that the link is broken, the decoder gives out what it holds, counts anew, and drops the pictures
 * that refer past the keyframe. A damaged packet is returned as far as it could be read.
 */
export function breakLink(packet: EncodedPacket, lengthBytes: number): EncodedPacket {
  const data = Uint8Array.from(packet.data);
  for (let at = 0; at + lengthBytes < data.length; ) {
    const length = data.subarray(at, at + lengthBytes).reduce((value, byte) => value * 256 + byte, 0);
    at += lengthBytes;
    // The header begins with a bit that is zero, six of the type, and one of the layer.
    const first = data[at] ?? 0;
    if (first >> 1 === cleanRandomAccess) data[at] = (brokenLinkAccess << 1) | (first & 1);
    at += length;
  }
  return packet.clone({ data });
}
