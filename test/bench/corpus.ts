/**
 * `npm run bench:corpus -- DIR [DIR ...] [--json] [--kinds png,tif] [--limit 2000]`: prepares every file below some
 * directories, one after the other.
 */
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { DefaultMediaProcessor, MediaError } from 'multimodal-chat';
import { processTree } from './process-tree.js';
import { quantile, rounded } from './statistics.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, kinds: { type: 'string' }, limit: { type: 'string' } },
});
const kinds = values.kinds?.split(',');
const limit = Number(values.limit ?? Number.POSITIVE_INFINITY);

interface Outcome {
  readonly file: string;
  /** By the end of its name. */
  readonly kind: string;
  /** As it was recognized: `image/png 640x480`, or the reason why it was refused. */
  readonly result: string;
  readonly parts: number;
  /** The note, or the sentence of the error. */
  readonly says?: string | undefined;
  readonly ms: number;
  /** Most resident memory of all processes together, looked at twenty times a second. */
  readonly peakMb: number;
}

async function* filesBelow(directory: string): AsyncGenerator<string> {
  const entries = await readdir(directory, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

const kindOf = (file: string) => extname(file).slice(1).toLowerCase() || 'none';

async function measure(processor: DefaultMediaProcessor, file: string): Promise<Outcome> {
  let peakMb = 0;
  const look = async () => {
    const tree = await processTree(process.pid);
    peakMb = Math.max(
      peakMb,
      tree.reduce((sum, { rssMb }) => sum + rssMb, 0),
    );
  };
  const timer = setInterval(() => void look(), 50);
  const startedAt = performance.now();
  const outcome = await processor.prepare({ data: file, name: file.replace(/.*\//, '') }).then(
    ({ note, parts, source: { durationMs, height, mimeType, width } }) => ({
      result: [mimeType, width && `${width}x${height}`, durationMs && `${rounded(durationMs / 1000, 1)} s`]
        .filter(Boolean)
        .join(' '),
      parts: parts.length,
      says: note,
    }),
    (error: Error) => ({
      // Anything else is a fault of ours.
      result: MediaError.isInstance(error) ? error.reason : `FAULT ${error.name}`,
      parts: 0,
      says: error.message,
    }),
  );
  const ms = performance.now() - startedAt;
  clearInterval(timer);
  await look();
  return { file, kind: kindOf(file), ...outcome, ms: rounded(ms, 0), peakMb: rounded(peakMb, 0) };
}

/** What is worth a look: faults, and what takes far more than others of its kind. */
function outliersOf(outcomes: readonly Outcome[]): readonly string[] {
  const usual = (kind: string, of: 'ms' | 'peakMb') =>
    quantile(
      outcomes.filter((outcome) => outcome.kind === kind).map((outcome) => outcome[of]),
      0.5,
    );
  return outcomes.flatMap(({ file, kind, ms, peakMb, result, says = '' }) => [
    ...(result.startsWith('FAULT') ? [`${file}: ${result}: ${says}`] : []),
    ...(says.length > 0 && !/^["A-Z].*\.$/s.test(says) ? [`${file}: no sentence: ${says}`] : []),
    ...(ms > Math.max(1000, 10 * usual(kind, 'ms')) ? [`${file}: ${ms} ms`] : []),
    ...(peakMb > Math.max(300, 2 * usual(kind, 'peakMb')) ? [`${file}: ${peakMb} MB`] : []),
  ]);
}

const processor = new DefaultMediaProcessor({ cacheBytes: 0 });
const outcomes: Outcome[] = [];
for (const directory of positionals) {
  for await (const file of filesBelow(directory)) {
    if (outcomes.length >= limit) break;
    if (kinds && !kinds.includes(kindOf(file))) continue;
    const outcome = await measure(processor, file);
    outcomes.push(outcome);
    if (!values.json) process.stdout.write(`${Object.values(outcome).join('\t')}\n`);
  }
}
await processor.close();
const outliers = outliersOf(outcomes);
if (values.json) process.stdout.write(`${JSON.stringify({ files: outcomes, outliers }, null, 1)}\n`);
else process.stdout.write(`\n${outcomes.length} files, to look at:\n${outliers.join('\n')}\n`);
