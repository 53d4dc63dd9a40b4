/** Frames in a row that prove what a source is: two bytes alone occur anywhere. */
const provingFrames = 3;

/** Kilobits a second of layer III, of MPEG 1 and of its successors for lower rates. */
const bitrates = [
  [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
] as const;
const sampleRates = [44_100, 48_000, 32_000] as const;

interface Frame {
  readonly kind: 'mp3' | 'aac';
  readonly bytes: number;
  /** What does not change between the frames of a recording. */
  readonly setup: number;
}

/** The kind of sound that begins anywhere in `head`: a recording may be cut within a frame, or padded. */
export function findMpegFrames(head: Uint8Array): Frame['kind'] | undefined {
  for (let start = head.indexOf(0xff); start >= 0; start = head.indexOf(0xff, start + 1)) {
    const first = frameAt(head, start);
    let [at, found] = [start, 0];
    for (let frame = first; frame && found < provingFrames; frame = frameAt(head, at)) {
      if (frame.kind !== first?.kind || frame.setup !== first.setup) break;
      found += 1;
      at += frame.bytes;
    }
    if (first && found === provingFrames) return first.kind;
  }
  return undefined;
}

function frameAt(head: Uint8Array, at: number): Frame | undefined {
  const [first = 0, second = 0, third = 0, fourth = 0, fifth = 0, sixth = 0] = head.subarray(at, at + 6);
  if (first !== 0xff) return undefined;
  if ((second & 0xf6) === 0xf0) {
    const bytes = ((fourth & 3) << 11) | (fifth << 3) | (sixth >> 5);
    return bytes > 7 ? { kind: 'aac', bytes, setup: (second << 8) | (third & 0xfc) } : undefined;
  }
  if ((second & 0xe6) !== 0xe2 || (second & 0x18) === 0x08) return undefined;
  const lower = (second & 0x08) === 0 ? 1 : 0;
  const bitrate = bitrates[lower][(third >> 4) - 1];
  const sampleRate = sampleRates[(third >> 2) & 3];
  if (bitrate === undefined || sampleRate === undefined) return undefined;
  // MPEG 2 halves the rates of MPEG 1, and MPEG 2.5 halves them again.
  const divisor = (second & 0x18) === 0 ? 4 : lower + 1;
  const samplesPerBit = lower ? 72 : 144;
  const bytes = Math.floor((samplesPerBit * bitrate * 1000 * divisor) / sampleRate) + ((third >> 1) & 1);
  return { kind: 'mp3', bytes, setup: (second << 8) | (third & 0x0c) };
}
