/** Reads mutants in a process of its own, which may crash, hang or grow without harm to the tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MediaError } from '../../src/core/errors.js';
import type { PreparedMedia } from '../../src/core/media.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { readHeifPicture } from '../../src/media/image/heif/heif-picture.js';
import { openSource } from '../../src/media/source/open-source.js';
import { sniffFormat } from '../../src/media/source/sniff.js';
import { Workspace } from '../../src/media/source/workspace.js';
import { openPacketIndex } from '../../src/media/video/index/packet-index.js';
import { type Mutant, makeMutant } from './media-mutations.js';
import type { MediaSample } from './media-samples.js';

export interface FuzzJob {
  /** Holds the samples, one file each. */
  readonly samplesDirectory: string;
  readonly names: readonly string[];
  readonly tempDir: string;
  readonly seed: number;
  /** The mutants to read: from the first on, before the last. */
  readonly from: number;
  readonly to: number;
  /** `prepare` does all that an upload goes through; `index` only what needs no ffmpeg. */
  readonly depth: 'prepare' | 'index';
  readonly parallel: number;
  /** After how many mutants the memory is measured. */
  readonly measureEach: number;
  /** Longest that one mutant may take. */
  readonly timeoutMs: number;
}

export type FuzzMessage =
  | { readonly type: 'started'; readonly index: number }
  | { readonly type: 'finished'; readonly index: number; readonly outcome: string; readonly problem?: string }
  | { readonly type: 'end'; readonly leftovers: readonly string[]; readonly rssMb: readonly number[] };

const say = (message: FuzzMessage) => process.send?.(message);
const settledReasons = new Set(['corrupt', 'unsupported', 'too-large', 'not-allowed', 'empty']);

process.once('message', async (job: FuzzJob) => {
  const samples = await Promise.all(
    job.names.map(async (name): Promise<MediaSample> => {
      const bytes = await readFile(join(job.samplesDirectory, name));
      return { name, bytes, cost: 'ffmpeg' };
    }),
  );
  const { tempDir, timeoutMs, parallel } = job;
  const processor = new DefaultMediaProcessor({
    ...{ tempDir, timeoutMs, frames: 2, concurrency: parallel, cacheBytes: 0 },
  });
  const read = job.depth === 'prepare' ? prepare : readIndex;
  const rssMb: number[] = [];
  let next = job.from;
  let current = -1;
  process.on('unhandledRejection', (error) => {
    say({
      type: 'finished',
      index: current,
      outcome: 'unhandled',
      problem: `Unhandled: ${explain(error)}`,
    });
  });
  const work = async () => {
    while (next < job.to) {
      const index = next;
      next += 1;
      current = index;
      say({ type: 'started', index });
      say({
        type: 'finished',
        index,
        ...(await judge(() => read(makeMutant(samples, job.seed, index), processor))),
      });
      if (index % job.measureEach === 0) rssMb.push(measureRss());
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  await processor.close();
  say({ type: 'end', leftovers: [...(await readdir(tempDir).catch(() => [])), ...childProcesses()], rssMb });
  process.disconnect();
});

function measureRss(): number {
  globalThis.gc?.();
  return Math.round(process.memoryUsage.rss() / 2 ** 20);
}

async function judge(read: () => Promise<string>): Promise<{ outcome: string; problem?: string }> {
  try {
    return { outcome: await read() };
  } catch (error) {
    if (MediaError.isInstance(error) && settledReasons.has(error.reason)) return { outcome: error.reason };
    return { outcome: 'error', problem: explain(error) };
  }
}

function explain(error: unknown): string {
  return error instanceof Error ? `${error.stack}` : `Thrown: ${String(error)}`;
}

async function prepare({ name, bytes }: Mutant, processor: DefaultMediaProcessor): Promise<string> {
  const media = await processor.prepare({ data: bytes, name });
  check(media);
  return media.kind;
}

/** What every result promises, however damaged its source is. */
function check({ parts, estimatedTokens, source }: PreparedMedia): void {
  const demand = (holds: boolean, what: string) => {
    if (!holds) throw new Error(`A wrong result: ${what}, ${JSON.stringify({ estimatedTokens, source })}`);
  };
  demand(parts.length > 0, 'no parts');
  const times = parts.flatMap(({ timestampMs }) => (timestampMs === undefined ? [] : [timestampMs]));
  demand(
    times.every((time, i) => time >= 0 && time > (times[i - 1] ?? -1)),
    `times ${times}`,
  );
  for (const { mimeType, data } of parts) {
    demand(data.byteLength > 0, `an empty ${mimeType}`);
    if (mimeType === 'image/jpeg') demand(data[0] === 0xff && data[1] === 0xd8, 'a picture that is no JPEG');
  }
  demand(Number.isFinite(estimatedTokens) && estimatedTokens >= 0, 'tokens');
  const { width = 1, height = 1, durationMs = 0 } = source;
  demand(width > 0 && height > 0, 'size');
  demand(Number.isFinite(durationMs) && durationMs >= 0, 'duration');
}

/** Looks up packets the way that frames are chosen; any error of it sends the real reader on to ffmpeg. */
async function readIndex({ name, bytes }: Mutant): Promise<string> {
  const signal = new AbortController().signal;
  const settings = { allowPaths: false, pathRoot: undefined, allowUrls: false, allowPrivateAddresses: false };
  const limits = { maxBytes: 2 ** 30, timeoutMs: 1000 };
  const source = await openSource(
    { data: bytes, name },
    new Workspace('/nowhere'),
    { ...settings, ...limits },
    signal,
  );
  const { indexer, mimeType } = sniffFormat(source.head, source);
  if (mimeType === 'image/heic') return readItems(bytes);
  if (!indexer) return 'no index';
  const index = await openPacketIndex(source, indexer).catch(() => undefined);
  if (!index) return 'unreadable';
  try {
    const { startMs, endMs } = index.span;
    const targets = [0.25, 0.75].map((share) => startMs + share * (endMs - startMs));
    await index.neighbors(targets);
    let bytes = 0;
    const moments = targets.map((target) => ({ fromMs: target - 100, toMs: target }));
    const packets = index.packets({ timesMs: await index.shownAt(moments), shiftMs: 0 });
    for await (const piece of packets as AsyncIterable<Uint8Array>) bytes += piece.length;
    return bytes > 0 ? 'packets' : 'no packets';
  } catch {
    return 'damaged index';
  } finally {
    index.close();
  }
}

/** Finds what there would be to decode of a HEIC; a damaged one throws nothing but this. */
function readItems(bytes: Buffer): string {
  try {
    return readHeifPicture(bytes) ? 'items' : 'no items';
  } catch (error) {
    if (error instanceof RangeError) return 'damaged items';
    throw error;
  }
}

/** Processes that should have ended. */
function childProcesses(): readonly string[] {
  return readdirSync('/proc/self/task')
    .flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' '))
    .filter(Boolean)
    .map((id) => readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' '))
    .filter((line) => line.includes('ffmpeg'));
}
