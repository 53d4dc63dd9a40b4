import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { open } from 'node:fs/promises';

/** File systems record changes with coarse clocks: two within this time may look the same. */
const settledMs = 2000;

/**
 * Identifies the contents of a file without reading them: by its place and its last change. `undefined` if
 * it changed just now, since the next change might not show.
 */
export function identifyFile({ dev, ino, size, mtimeNs, ctimeNs, ctimeMs }: BigIntStats): string | undefined {
  if (Date.now() - Number(ctimeMs) < settledMs) return undefined;
  return ['file', dev, ino, size, mtimeNs, ctimeNs].join('-');
}

const sampleCount = 64;
const sampleBytes = 64 * 1024;

/**
 * Hex SHA-256 of a large file's length and of samples spread evenly over it, the first and the last
 * bytes among them: a video that was changed anywhere has other bytes nearly everywhere, and reading
 * all of a long one costs more than finding its frames.
 */
export async function sampleFile(path: string, bytes: number): Promise<string> {
  const hash = createHash('sha256').update(`sampled ${bytes}\n`);
  const file = await open(path, 'r');
  try {
    const block = Buffer.alloc(sampleBytes);
    for (let sample = 0; sample < sampleCount; sample += 1) {
      const at = Math.round(((bytes - sampleBytes) * sample) / (sampleCount - 1));
      const { bytesRead } = await file.read(block, 0, sampleBytes, Math.max(0, at));
      hash.update(block.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

const blockBytes = 2 ** 18;

/** Hex SHA-256 of a file, read without blocking. Rejects with `signal.reason` on abort. */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path, 'r');
  try {
    // One block for all: a stream would leave as much garbage as the file has bytes.
    const block = Buffer.allocUnsafeSlow(blockBytes);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(block, 0, blockBytes, null);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(block.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
