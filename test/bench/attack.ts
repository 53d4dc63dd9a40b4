/** `npm run bench:attack -- --json [--seconds 120] [--only bodies]`: text questions beside a mixed attack. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  deflatedTiffPage,
  emptyTiffPage,
  fileType,
  gifOf,
  nestedBoxes,
  pngOf,
  tiffOf,
  unpackedText,
  webpOf,
} from '../support/media-bombs.js';
import type { AskedTexts } from './attack-asker.js';
import { startChild, startCompiled } from './child.js';
import { processTree } from './process-tree.js';
import { quantile, rounded } from './statistics.js';

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, seconds: { type: 'string' }, only: { type: 'string' } },
});
const seconds = Number(values.seconds ?? 120);
const directory = await mkdtemp(join(tmpdir(), 'bench-attack-'));
const emulator = await startChild('./emulator-process.ts');
// As published: run from source, tsx starts a compiler for each thread and process, and those would count.
const server = await startCompiled('./infer-server.ts', {
  GEMINI_API_KEY: 'emulated-key',
  GOOGLE_GEMINI_BASE_URL: emulator.url,
  TMPDIR: directory,
});
const port = Number(new URL(server.url).port);
const infer = `${server.url}/infer`;
const endsAt = performance.now() + seconds * 1000;
const isOver = () => performance.now() > endsAt;
const statuses = new Map<string, number>();
const note = (what: string) => statuses.set(what, (statuses.get(what) ?? 0) + 1);

async function post(name: string, body: BodyInit, type?: string, signal?: AbortSignal): Promise<void> {
  const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
  try {
    const response = await fetch(infer, { method: 'POST', body, headers, signal: signal ?? null });
    await response.arrayBuffer();
    note(`${name} ${response.status}`);
  } catch {
    // A refused body may end as a reset, an abandoned one as an abort.
    note(`${name} cut`);
  }
}

/** Repeats one attack on so many connections until the time is over. */
const repeat = (times: number, attack: () => Promise<void>) =>
  Array.from({ length: times }, async () => {
    while (!isOver()) await attack();
  });

/** A request that sends its head and then little. */
async function sendSlowly(type: string, begin: Uint8Array): Promise<void> {
  const socket = connect(port, '127.0.0.1').on('error', () => note('slow cut'));
  socket.write(
    `POST /infer HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nContent-Length: 30000000\r\n\r\n`,
  );
  socket.write(begin);
  while (!isOver() && !socket.destroyed) {
    socket.write('x');
    await sleep(1000);
  }
  socket.destroy();
}

const json = 'application/json';
const numbers = Buffer.from(`{"media":[${'0,'.repeat(1e6)}0]}`);
const large = Buffer.from(`{"prompt":"x","media":["${'A'.repeat(30e6)}"]}`);
const form = Buffer.from('a&'.repeat(16e6));
const deep = Buffer.alloc(30e6, '[');
const parts = '--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nHi\r\n'.repeat(1e5);

const bodies = () => [
  ...repeat(4, () => post('numbers', numbers, json)),
  ...repeat(2, () => post('deep', deep, json)),
  ...repeat(2, () => post('urlencoded', form, 'application/x-www-form-urlencoded')),
  ...repeat(2, () => post('parts', parts, 'multipart/form-data; boundary=x')),
  ...repeat(2, () => post('large', large, json)),
  ...Array.from({ length: 60 }, () => sendSlowly(json, large.subarray(0, 25e6))),
  ...repeat(4, () => {
    const upload = new FormData();
    upload.append('video_file', new File(['x'.repeat(8e6)], 'a.mp4'));
    return post('abandoned', upload, undefined, AbortSignal.timeout(Math.ceil(Math.random() * 100)));
  }),
];

const bombs: readonly [string, Buffer][] = [
  ['png.png', pngOf(30_000, 30_000)],
  ['text.png', pngOf(8, 8, [['iCCP', unpackedText()]])],
  ['webp.webp', webpOf(16_383, 16_383)],
  ['gif.gif', gifOf(1_000_000)],
  ['wide.gif', gifOf(2_000, 5_000)],
  ['pages.tiff', tiffOf(emptyTiffPage(), 300_000)],
  ['page.tiff', tiffOf(deflatedTiffPage(9_000))],
  ['boxes.mp4', Buffer.concat([fileType(), nestedBoxes(5_000)])],
];

const media = () =>
  bombs.flatMap(([name, data]) =>
    repeat(1, () => {
      const upload = new FormData();
      upload.append('prompt', 'What is it?');
      upload.append('video_file', new File([new Uint8Array(data)], name));
      return post(name, upload, undefined, AbortSignal.timeout(10_000));
    }),
  );

let maxRssMb = 0;
/** In a process of its own, because the attack keeps this one busy. */
async function askTexts(): Promise<AskedTexts> {
  const script = fileURLToPath(new URL('./attack-asker.ts', import.meta.url));
  const asker = fork(script, [infer, String(seconds)], { execArgv: ['--import', 'tsx'] });
  const [asked] = (await once(asker, 'message')) as [AskedTexts];
  return asked;
}

async function watch(): Promise<void> {
  while (!isOver()) {
    const tree = await processTree(server.pid);
    maxRssMb = Math.max(
      maxRssMb,
      tree.reduce((sum, { rssMb }) => sum + rssMb, 0),
    );
    await sleep(200);
  }
}

const filesBefore = (await readdir(directory)).length;
const processesBefore = (await processTree(server.pid)).length;

try {
  const attacks = [
    ...(values.only === 'media' ? [] : bodies()),
    ...(values.only === 'bodies' ? [] : media()),
  ];
  const [{ failed, latencies }] = await Promise.all([askTexts(), watch(), ...attacks]);
  // What was left behind by clients ends within seconds, and a picture process that has no more work after half a minute.
  const childrenAtOnce = (await processTree(server.pid)).length - processesBefore;
  await sleep(35_000);
  const result = {
    seconds,
    attack: values.only ?? 'all',
    questions: latencies.length,
    questionsFailed: failed,
    questionP50Ms: rounded(quantile(latencies, 0.5), 1),
    questionP99Ms: rounded(quantile(latencies, 0.99), 1),
    maxRssMb: rounded(maxRssMb, 0),
    filesLeft: (await readdir(directory)).length - filesBefore,
    childrenAtOnce,
    childrenLeft: (await processTree(server.pid)).length - processesBefore,
    replies: Object.fromEntries([...statuses].sort()),
  };
  process.stdout.write(`${JSON.stringify(result, null, values.json ? undefined : 2)}\n`);
} finally {
  server.stop();
  emulator.stop();
  await rm(directory, { recursive: true, force: true });
}
process.exit(0);
