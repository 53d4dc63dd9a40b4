import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { sniffBytes } from './sniff.js';
import type { OpenedSource } from './source.js';
import type { Workspace } from './workspace.js';

/** Bytes in memory as a source; written to a file of the workspace only when one is asked for. */
export function openBytes(data: Uint8Array, workspace: Workspace): OpenedSource {
  let written: Promise<string> | undefined;
  const write = async () => {
    const path = await workspace.newFile();
    await writeFile(path, data, { mode: 0o600 });
    return path;
  };
  return describeBytes(data, () => {
    written ??= write();
    return written;
  });
}

/** The same, with a file that holds them already. */
export function describeBytes(data: Uint8Array, path: () => Promise<string>): OpenedSource {
  const fingerprint = createHash('sha256').update(data).digest('hex');
  return {
    bytes: data.byteLength,
    identity: fingerprint,
    fingerprint: async () => fingerprint,
    digest: async () => fingerprint,
    head: data.subarray(0, sniffBytes),
    data,
    read: async () => data,
    path,
  };
}
