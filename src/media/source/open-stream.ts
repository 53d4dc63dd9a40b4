import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { readAll } from './byte-stream.js';
import { sampleFile } from './file-identity.js';
import { openBytes } from './open-bytes.js';
import { readHead, readWhole } from './open-file.js';
import { inMemoryBytes, type OpenedSource } from './source.js';
import { tooLarge } from './too-large.js';
import type { Workspace } from './workspace.js';

/** A stream as a source, read to its end: into memory, a long one into a file of the workspace. */
export async function openStream(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  workspace: Workspace,
  maxBytes: number,
  signal: AbortSignal,
): Promise<OpenedSource> {
  const hash = createHash('sha256');
  const held: Uint8Array[] = [];
  let bytes = 0;
  let spool: { file: FileHandle; path: string } | undefined;
  try {
    for await (const chunk of readAll(chunks, signal)) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw tooLarge(name, maxBytes);
      hash.update(chunk);
      if (spool) {
        await spool.file.appendFile(chunk);
        continue;
      }
      held.push(chunk);
      if (bytes > inMemoryBytes) {
        const path = await workspace.newFile();
        spool = { path, file: await open(path, 'wx', 0o600) };
        await spool.file.appendFile(Buffer.concat(held));
        held.splice(1);
      }
    }
  } finally {
    await spool?.file.close();
  }
  if (!spool) return openBytes(Buffer.concat(held), workspace);
  const { path } = spool;
  const digest = hash.digest('hex');
  return {
    bytes,
    identity: digest,
    digest: async () => digest,
    fingerprint: () => sampleFile(path, bytes),
    head: await readHead(path, name),
    data: undefined,
    read: () => readWhole(path),
    path: async () => path,
  };
}
