import { createHash } from 'node:crypto';
import { type BigIntStats, createReadStream } from 'node:fs';

/** A change this recent may not have moved the clock by which a file's changes are told. */
const settledMs = 2000;

/**
 * What tells the contents of a file from all others without reading them: where it lies and when it was
 * last changed. Nothing when it changed just now, so that the next change might not show.
 */
export function identifyFile({ dev, ino, size, mtimeNs, ctimeNs, ctimeMs }: BigIntStats): string | undefined {
  if (Date.now() - Number(ctimeMs) < settledMs) return undefined;
  return ['file', dev, ino, size, mtimeNs, ctimeNs].join('-');
}

/** Hex SHA-256 of a file, read beside whatever else goes on. Rejects with `signal.reason` on abort. */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const chunks: AsyncIterable<Uint8Array> = createReadStream(path, { highWaterMark: 2 ** 20 });
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest('hex');
}
