/** `npm run bench:media-load -- --json [--quick]`: 64 uploads of every kind at once through `POST /infer`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Answer, makeUploads, sendAll, type UploadKind } from '../support/media-uploads.js';
import { startChild } from './child.js';
import type { LoadUsage } from './media-load-server.js';
import { quantile, rounded } from './statistics.js';

const { values } = parseArgs({ options: { json: { type: 'boolean' }, quick: { type: 'boolean' } } });
const directory = await mkdtemp(join(tmpdir(), 'bench-media-load-'));
const emulator = await startChild('./emulator-process.ts');
const server = await startChild('./media-load-server.ts', {
  GEMINI_API_KEY: 'emulated-key',
  GOOGLE_GEMINI_BASE_URL: emulator.url,
  TMPDIR: directory,
});

const p95 = (answers: readonly Answer[], kind: UploadKind) =>
  rounded(
    quantile(
      answers.filter((answer) => answer.kind === kind).map(({ ms }) => ms),
      0.95,
    ),
    0,
  );

async function measure(work: () => Promise<readonly Answer[]>) {
  await fetch(`${server.url}/usage/reset`, { method: 'POST' });
  const startedAt = performance.now();
  const answers = await work();
  const wallSeconds = rounded((performance.now() - startedAt) / 1000, 1);
  const usage = (await (await fetch(`${server.url}/usage`)).json()) as LoadUsage;
  const kinds = [...new Set(answers.map(({ kind }) => kind))];
  return {
    uploads: answers.length,
    asExpected: answers.filter(({ status, expected }) => status === expected).length,
    statuses: Object.fromEntries(
      [...new Set(answers.map(({ status }) => status))].map((status) => [
        status,
        answers.filter((answer) => answer.status === status).length,
      ]),
    ),
    wallSeconds,
    ...Object.fromEntries(Object.entries(usage).map(([name, value]) => [name, rounded(value, 1)])),
    latencyP95Ms: Object.fromEntries(kinds.map((kind) => [kind, p95(answers, kind)])),
  };
}

try {
  const uploads = await makeUploads(directory, {
    picture: { width: 4000, height: 3000 },
    clip: { width: 1280, height: 640, fps: 30 },
    ...{ shortSeconds: 4, longSeconds: values.quick ? 60 : 300, pdfBytes: 2_000_000 },
  });
  const pictures = uploads.filter(({ kind }) => kind === 'picture');
  // The first of each kind loads what the others need.
  await sendAll(server.url, [...new Map(uploads.map((upload) => [upload.kind, upload])).values()]);
  const alone = await measure(() => sendAll(server.url, renamed(pictures, 'alone')));
  const mixed = await measure(() => sendAll(server.url, renamed(uploads, 'mixed')));
  const result = { alone, mixed };
  process.stdout.write(`${JSON.stringify(result, undefined, values.json ? undefined : 2)}\n`);
} finally {
  server.stop();
  emulator.stop();
  await rm(directory, { recursive: true, force: true });
}

/** The same files with other last bytes, so that none is in the cache. */
function renamed(uploads: Awaited<ReturnType<typeof makeUploads>>, mark: string) {
  return uploads.map((upload) =>
    upload.kind === 'picture' ? { ...upload, data: Buffer.concat([upload.data, Buffer.from(mark)]) } : upload,
  );
}
