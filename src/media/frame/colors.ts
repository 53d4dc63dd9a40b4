import type { WideColors } from './tone-map.js';

/** How colors were stored, in case the frames carry no tags of their own. */
export interface ColorHint {
  /** As ffmpeg's scale filter names it; `undefined` for frames that are tagged. */
  readonly matrix?: string | undefined;
  readonly fullRange?: boolean | undefined;
  /** Given for colors beyond sRGB, or for a brighter screen. */
  readonly wide?: WideColors | undefined;
}

/** The names that ffmpeg's scale filter has for WebCodecs' color matrices. */
const matrixNames: Readonly<Record<string, string>> = {
  bt709: 'bt709',
  bt470bg: 'bt601',
  smpte170m: 'bt601',
  'bt2020-ncl': 'bt2020',
};

/** The hint for a track as its container describes it, in terms of WebCodecs. */
export function colorsOfTrack(track: VideoColorSpaceInit, height: number): ColorHint {
  const { fullRange, matrix, primaries, transfer } = track;
  const wide = wideColors(primaries, transfer);
  return {
    matrix: (matrix && matrixNames[matrix]) ?? (wide ? matrixNames['bt2020-ncl'] : guessMatrix(height)),
    fullRange: fullRange === true,
    ...(wide && { wide }),
  };
}

const matrixPattern = /^(bt709|bt470bg|smpte170m|bt2020\w*|fcc|smpte240m|gbr)$/;

/** The hint for a stream from what ffmpeg logs beside its pixel format: "tv, bt2020nc/bt2020/smpte2084, progressive". */
export function colorsOfFormat(details: string, height: number): ColorHint {
  const names = details.split(/,\s*/).find((detail) => detail.includes('/') || matrixPattern.test(detail));
  // One name stands for all three when they are the same.
  const [matrix, primaries = matrix, transfer = matrix] = names?.split('/') ?? [];
  const wide = wideColors(primaries, transfer);
  const isTagged = matrix !== undefined && matrixPattern.test(matrix);
  return {
    matrix: isTagged ? undefined : wide ? matrixNames['bt2020-ncl'] : guessMatrix(height),
    ...(wide && { wide }),
  };
}

/** Untagged video from HD up is BT.709 by convention, below it BT.601, which is ffmpeg's own default. */
function guessMatrix(height: number): string | undefined {
  return height >= 720 ? 'bt709' : undefined;
}

/** By the names of WebCodecs and by those of ffmpeg. */
const brightTransfers: Readonly<Record<string, 'pq' | 'hlg'>> = {
  pq: 'pq',
  smpte2084: 'pq',
  hlg: 'hlg',
  'arib-std-b67': 'hlg',
};

function wideColors(primaries?: string | null, transfer?: string | null): WideColors | undefined {
  const bright = transfer ? brightTransfers[transfer] : undefined;
  const isWide = primaries?.startsWith('bt2020');
  // HDR without tagged primaries is BT.2020 by convention.
  if (bright) return { transfer: bright, primaries: primaries === 'bt709' ? 'bt709' : 'bt2020' };
  return isWide ? { transfer: 'sdr', primaries: 'bt2020' } : undefined;
}
