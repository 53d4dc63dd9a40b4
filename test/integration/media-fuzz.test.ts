import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { availableFfmpegs } from '../support/media-fixtures.js';
import { type FuzzReport, fuzz, growthMb } from '../support/media-fuzz.js';
import type { FuzzJob } from '../support/media-fuzz-worker.js';
import { type MediaSample, makeSamples } from '../support/media-samples.js';

/** The same mutants each time; another seed finds others: `FUZZ_SEED=7 FUZZ_MUTANTS=100000`. */
const seed = Number(process.env.FUZZ_SEED ?? 20_261_123);
const mutants = Number(process.env.FUZZ_MUTANTS ?? 5000);
/** Shares of all mutants by what they cost: the last need ffmpeg, some of them three times. */
const shares = { pictures: 0.54, indexes: 0.38, clips: 0.08 };
/** Far above what any mutant takes on a busy machine. */
const mutantTimeoutMs = 60_000;
/** How often the memory is measured. */
const measurements = 30;
/** Three times what measuring was ever off by. A leak of 6 KB a picture or 40 KB a clip grows by more. */
const maxGrowthMb = 10;

const haveFfmpeg = availableFfmpegs().size > 0;
if (!haveFfmpeg && !process.env.CI)
  console.warn('SKIPPED: damaged files of every format. There is no ffmpeg. Run apt install ffmpeg.');

// Side by side, since one of them keeps ffmpeg busy and the others this program.
describe.skipIf(!haveFfmpeg && !process.env.CI).concurrent('damaged files of every format', () => {
  let directory: string;
  let samples: readonly MediaSample[];

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fuzz-'));
    await mkdir(join(directory, 'made'));
    samples = await makeSamples(join(directory, 'made'));
    for (const { name, bytes } of samples) await writeFile(join(directory, name), bytes);
  }, 120_000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  function run(
    name: keyof typeof shares,
    of: readonly MediaSample[],
    how: Partial<FuzzJob>,
  ): Promise<FuzzReport> {
    const to = Math.ceil(mutants * shares[name]);
    return fuzz({
      samplesDirectory: directory,
      names: of.map((sample) => sample.name),
      tempDir: join(directory, `temp-${name}`),
      ...{ seed, from: 0, to, measureEach: Math.ceil(to / measurements) },
      ...{ depth: 'prepare', parallel: 1, timeoutMs: mutantTimeoutMs, ...how },
    });
  }

  function expectSound(name: keyof typeof shares, report: FuzzReport): void {
    expect(report.problems).toEqual([]);
    expect(report.leftovers).toEqual([]);
    expect(report.mutants).toBe(Math.ceil(mutants * shares[name]));
    expect(growthMb(report.rssMb), `${report.rssMb}`).toBeLessThan(maxGrowthMb);
  }

  it(
    'are read or refused with a sentence: pictures and documents',
    async () => {
      const report = await run(
        'pictures',
        samples.filter(({ cost }) => cost === 'in-process'),
        {},
      );
      expectSound('pictures', report);
      expect(report.outcomes).toMatchObject({ image: expect.any(Number), corrupt: expect.any(Number) });
    },
    10 * 60_000,
  );

  it(
    'never block the reader of their indexes',
    async () => {
      const indexed = samples.filter(({ name }) => /\.(mp4|mov|3gp|mkv|webm|heic)$/.test(name));
      const report = await run('indexes', indexed, { depth: 'index' });
      expectSound('indexes', report);
      expect(report.outcomes).toMatchObject({ packets: expect.any(Number), unreadable: expect.any(Number) });
    },
    10 * 60_000,
  );

  it(
    'are read or refused with a sentence: clips, recordings and HEIC',
    async () => {
      const report = await run(
        'clips',
        samples.filter(({ cost }) => cost === 'ffmpeg'),
        { parallel: 3 },
      );
      expectSound('clips', report);
      expect(report.outcomes).toMatchObject({ video: expect.any(Number), corrupt: expect.any(Number) });
    },
    10 * 60_000,
  );
});
