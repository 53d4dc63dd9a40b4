/** How the packets of a clip are divided into units. */
export interface UnitFormat {
  /** Bytes of the length in front of each unit; 0 if units follow start codes instead. */
  readonly lengthBytes: number;
  /** Whether there is one layer only: a picture that none of its layer refers to is then not needed at all. */
  readonly hasOneLayer: boolean;
}

/**
 * The format of the units by the decoder's description: the low bits of byte 4 of H.264's and of byte 21
 * of HEVC's are the bytes of a length, less one; bits 3 to 5 of that byte are HEVC's temporal layers.
 * ISO/IEC 14496-15 5.3.3.1.2 and 8.3.2.1.2. Without a description there are start codes.
 */
export function unitFormat(codec: string, description: AllowSharedBufferSource | undefined): UnitFormat {
  const isHevc = codec === 'hevc';
  if (!description) return { lengthBytes: 0, hasOneLayer: !isHevc };
  const bytes = ArrayBuffer.isView(description)
    ? new Uint8Array(description.buffer, description.byteOffset, description.byteLength)
    : new Uint8Array(description);
  const field = bytes[isHevc ? 21 : 4] ?? 3;
  return { lengthBytes: (field & 3) + 1, hasOneLayer: !isHevc || ((field >> 3) & 7) === 1 };
}

/** Where the header of each unit is, up to the first damage. */
export function unitHeaders(data: Uint8Array, lengthBytes: number): readonly number[] {
  const headers: number[] = [];
  if (lengthBytes > 0) {
    for (let at = 0; at + lengthBytes < data.length; ) {
      let length = 0;
      for (const end = at + lengthBytes; at < end; at += 1) length = length * 256 + (data[at] ?? 0);
      headers.push(at);
      at += length;
    }
    return headers;
  }
  for (let at = data.indexOf(1, 2); at >= 0 && at + 1 < data.length; at = data.indexOf(1, at + 1)) {
    if (data[at - 1] === 0 && data[at - 2] === 0) headers.push(at + 1);
  }
  return headers;
}

/**
 * An HEVC keyframe as it has to be where packets before it were left out. The keyframe of an open group
 * goes on with the count by which pictures are put in order, and so comes out in the wrong place. If the
 * link is marked as broken, the decoder outputs what it holds, restarts the count, and drops the pictures
 * that refer past the keyframe.
 *
 * @param headers of the units in `data`
 */
export function breakLink(data: Uint8Array, headers: readonly number[]): Uint8Array {
  // Types of slices, H.265 table 7-1: clean random access, and broken link access with leading pictures.
  const [cleanRandomAccess, brokenLinkAccess] = [21, 16];
  const broken = Uint8Array.from(data);
  for (const at of headers) {
    // The header begins with a bit that is zero, six of the type, and one of the layer.
    const first = data[at] ?? 0;
    if (first >> 1 === cleanRandomAccess) broken[at] = (brokenLinkAccess << 1) | (first & 1);
  }
  return broken;
}

/**
 * Whether no other picture refers to this one, so that it need not be decoded for the sake of others:
 * nal_ref_idc 0 in all slices of H.264, 7.4.1; slices of HEVC of the even types up to 14, H.265 table 7-1,
 * if there is only one temporal layer.
 *
 * @param headers of the units in `data`
 */
export function isDisposable(codec: string, data: Uint8Array, headers: readonly number[]): boolean {
  let pictures = 0;
  for (const at of headers) {
    const first = data[at] ?? 0;
    if (codec === 'avc') {
      const type = first & 31;
      if (type < 1 || type > 5) continue;
      pictures += 1;
      if (first & 0x60) return false;
    } else if (codec === 'hevc') {
      const type = first >> 1;
      if (type > 31) continue;
      pictures += 1;
      if (type > 14 || type % 2 === 1) return false;
    } else return false;
  }
  return pictures > 0;
}
