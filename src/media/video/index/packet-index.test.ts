import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeClip } from '../../../../test/support/media-fixtures.js';
import type { LocalSource } from '../../source/source.js';
import { exactly } from '../plan.js';
import { openPacketIndex, type PacketIndex } from './packet-index.js';

let directory: string;
let clip: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'packet-index-'));
  clip = await makeClip({
    path: join(directory, 'clip.mp4'),
    ...{ seconds: 6, width: 640, height: 320, gop: 50 },
    filters: ['noise=alls=20:allf=t'],
    codec: ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '3', '-b_strategy', '0', '-sc_threshold', '0'],
  });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function open(): Promise<PacketIndex> {
  const source = { data: undefined, path: async () => clip } as unknown as LocalSource;
  const index = await openPacketIndex(source, 'MP4');
  if (!index) throw new Error('There is no index.');
  return index;
}

async function bytesOf(index: PacketIndex, timesMs: readonly number[]): Promise<number> {
  let bytes = 0;
  for await (const piece of index.packets({ timesMs, shiftMs: 0 }) as AsyncIterable<Uint8Array>)
    bytes += piece.length;
  return bytes;
}

describe('PacketIndex.packets()', () => {
  it('reads from the keyframe on, without pictures that no other refers to', async () => {
    const index = await open();
    const [keyframe = 0, last = 0] = await index.shownAt([exactly(0), exactly(1900)]);
    expect([keyframe, last]).toEqual([0, 1880]);
    const [alone, group] = [await bytesOf(index, [keyframe]), await bytesOf(index, [last])];
    expect(alone).toBeLessThan(group / 3);
    // A group is a third of the clip, and two of three of its B-frames are left out.
    expect(group).toBeLessThan(0.8 * ((await stat(clip)).size / 3));
    index.close();
  });

  it('serves one reader while others stop or close, from one thread', async () => {
    let threads = 0;
    const count = () => {
      threads += 1;
    };
    process.on('worker', count);
    try {
      const expected = await open().then((index) => bytesOf(index, [5960]));
      for (const leave of ['stop', 'close', 'both'] as const) {
        const [one, other] = [await open(), await open()];
        const left = one.packets({ timesMs: [5960], shiftMs: 0 });
        const reading = bytesOf(other, [5960]);
        for await (const _ of left) break;
        if (leave !== 'stop') one.close();
        if (leave !== 'close') left.destroy();
        expect(await reading).toBe(expected);
        other.close();
      }
      expect(threads).toBeLessThanOrEqual(1);
    } finally {
      process.off('worker', count);
    }
  });
});
