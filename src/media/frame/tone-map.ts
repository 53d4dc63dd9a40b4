import type { RgbFrame } from './ppm.js';

/** Colors that a screen of sRGB cannot show as they are. */
export interface WideColors {
  /** PQ and HLG are for bright screens; `sdr` is not. */
  readonly transfer: 'pq' | 'hlg' | 'sdr';
  readonly primaries: 'bt2020' | 'bt709';
}

/** Paper white, in cd/m²: "HDR reference white" of ITU-R BT.2408. */
const whiteNits = 203;
/** The peak that most HDR is mastered for. Anything brighter becomes white. */
const peakNits = 1000;
/** Up to this share of paper white light is unchanged; from there to the peak it is compressed. */
const knee = 0.5;

/**
 * Turns a frame into sRGB, in place: without that, HDR is dull and washed out. The hue stays, since all
 * three colors are dimmed by the brightest of them. Done here, because not every ffmpeg has the filters.
 */
export function toSrgb(frame: RgbFrame, { primaries, transfer }: WideColors): void {
  const { data } = frame;
  const light = lightOf(transfer);
  const dim = transfer === 'sdr' ? undefined : dimming();
  for (let at = 0; at + 2 < data.length; at += 3) {
    let red = light[data[at] ?? 0] ?? 0;
    let green = light[data[at + 1] ?? 0] ?? 0;
    let blue = light[data[at + 2] ?? 0] ?? 0;
    if (transfer === 'hlg') {
      const gain = (0.2627 * red + 0.678 * green + 0.0593 * blue) ** 0.2 * (peakNits / whiteNits);
      red *= gain;
      green *= gain;
      blue *= gain;
    }
    if (primaries === 'bt2020') {
      // The inverse of ITU-R BT.2087.
      const [r, g, b] = [red, green, blue];
      red = Math.max(0, 1.660491 * r - 0.587641 * g - 0.07285 * b);
      green = Math.max(0, -0.12455 * r + 1.1329 * g - 0.008349 * b);
      blue = Math.max(0, -0.018151 * r - 0.100579 * g + 1.11873 * b);
    }
    const gain = dim ? dim(Math.max(red, green, blue)) : 1;
    data[at] = encoded(red * gain);
    data[at + 1] = encoded(green * gain);
    data[at + 2] = encoded(blue * gain);
  }
}

const byteTable = (of: (value: number) => number): Float64Array =>
  Float64Array.from({ length: 256 }, (_, byte) => of(byte / 255));

/** The light of each code, 1 being paper white; for HLG the light of the scene, 1 being its brightest. */
function lightOf(transfer: WideColors['transfer']): Float64Array {
  tables[transfer] ??= byteTable({ pq: pqLight, hlg: hlgLight, sdr: sdrLight }[transfer]);
  return tables[transfer];
}

const tables: { [T in WideColors['transfer']]?: Float64Array } = {};

/** SMPTE ST 2084 */
function pqLight(code: number): number {
  const power = code ** (1 / 78.84375);
  const ratio = Math.max(0, power - 0.8359375) / (18.8515625 - 18.6875 * power);
  return (ratio ** (1 / 0.1593017578125) * 10_000) / whiteNits;
}

/** ARIB STD-B67 */
function hlgLight(code: number): number {
  return code <= 0.5 ? code ** 2 / 3 : (Math.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12;
}

/** As sRGB, so that colors within sRGB stay as they are. */
function sdrLight(code: number): number {
  return code <= 0.04045 ? code / 12.92 : ((code + 0.055) / 1.055) ** 2.4;
}

/** The factor to dim light by: 1 up to the knee, then a curve that reaches white at the peak. */
function dimming(): (brightest: number) => number {
  const scale = 1 - knee;
  const peak = (peakNits / whiteNits - knee) / scale;
  return (brightest) => {
    if (brightest <= knee) return 1;
    const above = Math.min(peak, (brightest - knee) / scale);
    return (knee + (scale * above * (1 + above / peak ** 2)) / (1 + above)) / brightest;
  };
}

const steps = 4096;
const codes = Uint8ClampedArray.from({ length: steps + 1 }, (_, step) => {
  const light = step / steps;
  return 255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055);
});

function encoded(light: number): number {
  return codes[Math.min(steps, Math.round(light * steps))] ?? 255;
}
