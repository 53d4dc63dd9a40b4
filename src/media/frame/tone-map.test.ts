import { describe, expect, it } from 'vitest';
import { toSrgb, type WideColors } from './tone-map.js';

function shown(rgb: readonly number[], colors: WideColors): readonly number[] {
  const frame = { width: 1, height: 1, data: Uint8Array.from(rgb) };
  toSrgb(frame, colors);
  return [...frame.data];
}

const gray = (code: number) => [code, code, code];
const pq = { transfer: 'pq', primaries: 'bt2020' } as const;
const hlg = { transfer: 'hlg', primaries: 'bt2020' } as const;
const sdr = { transfer: 'sdr', primaries: 'bt2020' } as const;

describe('toSrgb', () => {
  // Codes by ITU-R BT.2408 (paper white is 58 % of PQ and 75 % of HLG) and the curves themselves.
  it.each([
    { of: 'black of PQ', from: gray(0), colors: pq, to: gray(0) },
    { of: '43.8 cd/m² of PQ, middle gray', from: gray(109), colors: pq, to: gray(128) },
    { of: 'paper white of PQ', from: gray(148), colors: pq, to: gray(225) },
    { of: '1,000 cd/m² of PQ', from: gray(192), colors: pq, to: gray(255) },
    { of: '10,000 cd/m² of PQ', from: gray(255), colors: pq, to: gray(255) },
    { of: 'black of HLG', from: gray(0), colors: hlg, to: gray(0) },
    { of: 'paper white of HLG', from: gray(191), colors: hlg, to: gray(225) },
    { of: 'the peak of HLG', from: gray(255), colors: hlg, to: gray(255) },
    { of: 'gray of BT.2020 without HDR', from: gray(100), colors: sdr, to: gray(100) },
    { of: 'the red of sRGB in BT.2020', from: [207, 74, 34], colors: sdr, to: [255, 0, 0] },
    { of: 'a red that sRGB does not have', from: [255, 0, 0], colors: sdr, to: [255, 0, 0] },
    {
      of: 'PQ in the primaries of sRGB',
      from: [148, 0, 0],
      colors: { ...pq, primaries: 'bt709' },
      to: [225, 0, 0],
    },
  ] as const)('shows $of', ({ from, colors, to }) => {
    const color = shown(from, colors);
    for (const [i, value] of to.entries())
      expect(Math.abs((color[i] ?? 0) - value), `${color}`).toBeLessThanOrEqual(3);
  });

  it.each([pq, hlg, sdr])('keeps the order of brightness: $transfer', (colors) => {
    const grays = Array.from({ length: 256 }, (_, code) => shown(gray(code), colors)[0] ?? 0);
    expect(grays).toEqual([...grays].sort((a, b) => a - b));
  });

  it('keeps grays gray', () => {
    for (let code = 0; code < 256; code += 5) {
      const [red = 0, green = 0, blue = 0] = shown(gray(code), pq);
      expect(Math.max(red, green, blue) - Math.min(red, green, blue)).toBeLessThanOrEqual(1);
    }
  });
});
