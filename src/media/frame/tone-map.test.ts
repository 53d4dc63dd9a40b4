import { describe, expect, it } from 'vitest';
import { toSrgb, type WideColours } from './tone-map.js';

function shown(rgb: readonly number[], colours: WideColours): readonly number[] {
  const frame = { width: 1, height: 1, data: Uint8Array.from(rgb) };
  toSrgb(frame, colours);
  return [...frame.data];
}

const grey = (code: number) => [code, code, code];
const pq = { transfer: 'pq', primaries: 'bt2020' } as const;
const hlg = { transfer: 'hlg', primaries: 'bt2020' } as const;
const sdr = { transfer: 'sdr', primaries: 'bt2020' } as const;

describe('toSrgb', () => {
  // Codes by ITU-R BT.2408 (paper white is 58 % of PQ and 75 % of HLG) and the curves themselves.
  it.each([
    { of: 'black of PQ', from: grey(0), colours: pq, to: grey(0) },
    { of: '43.8 cd/m² of PQ, middle grey', from: grey(109), colours: pq, to: grey(128) },
    { of: 'paper white of PQ', from: grey(148), colours: pq, to: grey(225) },
    { of: '1,000 cd/m² of PQ', from: grey(192), colours: pq, to: grey(255) },
    { of: '10,000 cd/m² of PQ', from: grey(255), colours: pq, to: grey(255) },
    { of: 'black of HLG', from: grey(0), colours: hlg, to: grey(0) },
    { of: 'paper white of HLG', from: grey(191), colours: hlg, to: grey(225) },
    { of: 'the peak of HLG', from: grey(255), colours: hlg, to: grey(255) },
    { of: 'grey of BT.2020 without HDR', from: grey(100), colours: sdr, to: grey(100) },
    { of: 'the red of sRGB in BT.2020', from: [207, 74, 34], colours: sdr, to: [255, 0, 0] },
    { of: 'a red that sRGB does not have', from: [255, 0, 0], colours: sdr, to: [255, 0, 0] },
    {
      of: 'PQ in the primaries of sRGB',
      from: [148, 0, 0],
      colours: { ...pq, primaries: 'bt709' },
      to: [225, 0, 0],
    },
  ] as const)('shows $of', ({ from, colours, to }) => {
    const colour = shown(from, colours);
    for (const [i, value] of to.entries())
      expect(Math.abs((colour[i] ?? 0) - value), `${colour}`).toBeLessThanOrEqual(3);
  });

  it.each([pq, hlg, sdr])('never makes what is brighter darker: $transfer', (colours) => {
    const greys = Array.from({ length: 256 }, (_, code) => shown(grey(code), colours)[0] ?? 0);
    expect(greys).toEqual([...greys].sort((a, b) => a - b));
  });

  it('keeps greys grey', () => {
    for (let code = 0; code < 256; code += 5) {
      const [red = 0, green = 0, blue = 0] = shown(grey(code), pq);
      expect(Math.max(red, green, blue) - Math.min(red, green, blue)).toBeLessThanOrEqual(1);
    }
  });
});
