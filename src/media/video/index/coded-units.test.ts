import { describe, expect, it } from 'vitest';
import { breakLink, isDisposable, unitFormat, unitHeaders } from './coded-units.js';

const parameterSet = 33;
const idr = 19;
const cleanRandomAccess = 21;
const brokenLinkAccess = 16;

/** Units with the given first bytes, each with a byte of picture that looks like a header. */
function packetOf(firstBytes: readonly number[], lengthBytes: number): Uint8Array {
  const before = lengthBytes > 0 ? [...new Array(lengthBytes - 1).fill(0), 3] : [0, 0, 0, 1];
  return Uint8Array.from(firstBytes.flatMap((first) => [...before, first, 1, 42]));
}

const hevc = (types: readonly number[]) => types.map((type) => type << 1);
/** A unit of H.264: how much it matters to others, 0 to 3, and its type. */
const avc = (importance: number, type: number) => (importance << 5) | type;

describe('breakLink', () => {
  it.each([0, 1, 2, 4])(
    'changes the type of clean random access alone, with lengths of %i bytes',
    (lengthBytes) => {
      const packet = packetOf(hevc([parameterSet, cleanRandomAccess, idr, cleanRandomAccess]), lengthBytes);
      const before = [...packet];
      const broken = breakLink(packet, unitHeaders(packet, lengthBytes));
      const expected = packetOf(hevc([parameterSet, brokenLinkAccess, idr, brokenLinkAccess]), lengthBytes);
      expect([...broken]).toEqual([...expected]);
      expect([...packet]).toEqual(before);
    },
  );
});

describe('unitHeaders', () => {
  it('stops at a length that reaches past the end', () => {
    const packet = Uint8Array.of(0, 0, 0, 1, 9, 0xff, 0xff, 0xff, 0xff, idr << 1, 1);
    expect(unitHeaders(packet, 4)).toEqual([4, 9]);
    expect(unitHeaders(Uint8Array.of(0, 0, 0), 4)).toEqual([]);
    expect(unitHeaders(Uint8Array.of(0, 0, 1), 0)).toEqual([]);
  });
});

describe('isDisposable', () => {
  const verdict = (codec: string, firstBytes: readonly number[], lengthBytes = 4) => {
    const packet = packetOf(firstBytes, lengthBytes);
    return isDisposable(codec, packet, unitHeaders(packet, lengthBytes));
  };

  it.each([0, 4])(
    'detects slices of H.264 that no picture refers to, with lengths of %i bytes',
    (lengthBytes) => {
      const information = avc(0, 6);
      expect(verdict('avc', [information, avc(0, 1), avc(0, 1)], lengthBytes)).toBe(true);
      expect(verdict('avc', [information, avc(2, 1)], lengthBytes)).toBe(false);
      expect(verdict('avc', [avc(0, 1), avc(1, 1)], lengthBytes)).toBe(false);
    },
  );

  it('detects pictures of HEVC that no other refers to', () => {
    const [lastOfItsLayer, referredTo, leading] = [0, 1, 8];
    expect(verdict('hevc', hevc([lastOfItsLayer]))).toBe(true);
    expect(verdict('hevc', hevc([parameterSet, leading]))).toBe(true);
    expect(verdict('hevc', hevc([referredTo]))).toBe(false);
    expect(verdict('hevc', hevc([lastOfItsLayer, idr]))).toBe(false);
  });

  it('keeps packets without a picture, and those of other codecs', () => {
    expect(verdict('avc', [avc(0, 6)])).toBe(false);
    expect(verdict('vp9', [avc(0, 1)])).toBe(false);
    expect(isDisposable('avc', new Uint8Array(), [])).toBe(false);
  });
});

describe('unitFormat', () => {
  it('reads the description at any offset of its buffer', () => {
    const description = new Uint8Array(23);
    description[4] = 0b1111_1110;
    description[21] = 0b0000_1101;
    const within = new Uint8Array(40);
    within.set(description, 10);
    const expected = { lengthBytes: 2, hasOneLayer: true };
    for (const bytes of [description, description.buffer, within.subarray(10, 33)]) {
      expect(unitFormat('hevc', bytes)).toEqual(expected);
    }
    expect(unitFormat('avc', description)).toEqual({ lengthBytes: 3, hasOneLayer: true });
  });

  it('treats HEVC as layered unless the description rules it out', () => {
    const description = new Uint8Array(23);
    description[21] = 0b0001_0111;
    expect(unitFormat('hevc', description)).toEqual({ lengthBytes: 4, hasOneLayer: false });
    expect(unitFormat('hevc', undefined)).toEqual({ lengthBytes: 0, hasOneLayer: false });
    expect(unitFormat('avc', undefined)).toEqual({ lengthBytes: 0, hasOneLayer: true });
  });
});
