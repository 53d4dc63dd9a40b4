import { EncodedPacket } from 'mediabunny';
import { describe, expect, it } from 'vitest';
import { breakLink, unitLengthBytes } from './splice.js';

const parameterSet = 33;
const idr = 19;
const cleanRandomAccess = 21;
const brokenLinkAccess = 16;

/** Units of the given types, each with a byte of picture that looks like a header. */
function packetOf(types: readonly number[], lengthBytes: number): EncodedPacket {
  const units = types.flatMap((type) => [...new Array(lengthBytes - 1).fill(0), 3, type << 1, 1, 42]);
  return new EncodedPacket(Uint8Array.from(units), 'key', 4, 0.04);
}

describe('breakLink', () => {
  it.each([1, 2, 4])(
    'changes the type of clean random access alone, with lengths of %i bytes',
    (lengthBytes) => {
      const packet = packetOf([parameterSet, cleanRandomAccess, idr, cleanRandomAccess], lengthBytes);
      const broken = breakLink(packet, lengthBytes);
      const expected = packetOf([parameterSet, brokenLinkAccess, idr, brokenLinkAccess], lengthBytes);
      expect([...broken.data]).toEqual([...expected.data]);
      expect(broken).toMatchObject({ timestamp: 4, duration: 0.04, type: 'key' });
    },
  );

  it('leaves the packet that it was given as it was', () => {
    const packet = packetOf([cleanRandomAccess], 4);
    breakLink(packet, 4);
    expect([...packet.data]).toEqual([...packetOf([cleanRandomAccess], 4).data]);
  });

  it('stops at a length that reaches past the end', () => {
    const packet = new EncodedPacket(Uint8Array.of(0xff, 0xff, 0xff, 0xff, idr << 1, 1), 'key', 0, 0);
    expect([...breakLink(packet, 4).data]).toEqual([...packet.data]);
  });
});

describe('unitLengthBytes', () => {
  it('reads the length from the description, wherever in a buffer that lies', () => {
    const description = new Uint8Array(23);
    description[21] = 0b1111_1101;
    const within = new Uint8Array(40);
    within.set(description, 10);
    expect(unitLengthBytes(description)).toBe(2);
    expect(unitLengthBytes(description.buffer)).toBe(2);
    expect(unitLengthBytes(within.subarray(10, 33))).toBe(2);
  });
});
