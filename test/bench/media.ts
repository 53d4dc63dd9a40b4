/**
 * `npm run bench:media -- --json [--quick] [--seconds 10,60] [--gops 30,250] [--frames 8,32] [--4k]
 * [--b-frames] [--methods ours,full-decode] [--no-pictures] [--no-clips] [--scenes]`
 *
 * What it costs to show a clip or a picture, ours against the usual ways, and with `--scenes` how many
 * scenes of a clip are shown (methods `uniform`, `scenes`, `select-scene`; the clips take a while to make
 * the first time). Each case runs in a process of its own, which has prepared another clip before, from the
 * package as it is published. Prints one JSON object on stdout; progress goes to stderr. On a busy machine the CPU seconds
 * still mean something, the wall clock does not.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { availableFfmpegs, readPattern } from '../support/media-fixtures.js';
import { sceneShown } from '../support/scene-clips.js';
import { compiled } from './compiled.js';
import {
  benchClip,
  benchKeyframes,
  benchPicture,
  type ClipKind,
  fps,
  loopSeconds,
  pictureFormats,
  sceneClips,
} from './media-clips.js';
import {
  type FrameRequest,
  frameMethods,
  obstacleTo,
  pictureMethods,
  sceneMethods,
  targetsOf,
} from './media-methods.js';
import { type MediaUsage, measureUsage } from './media-usage.js';
import { median, rounded } from './statistics.js';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    gops: { type: 'string' },
    frames: { type: 'string' },
    methods: { type: 'string' },
    'no-pictures': { type: 'boolean', default: false },
    'no-clips': { type: 'boolean', default: false },
    scenes: { type: 'boolean', default: false },
    '4k': { type: 'boolean', default: false },
    'b-frames': { type: 'boolean', default: false },
    case: { type: 'string' },
  },
});

interface Case {
  readonly method: string;
  /** Absent for a picture. */
  readonly request?: FrameRequest;
  /** How many scenes the clip has, where these are counted. */
  readonly scenes?: number;
  readonly picture?: string;
}

interface Row {
  readonly method: string;
  readonly clip: string;
  readonly frames: number;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  readonly peakRssMb: number;
  /** Of that, what the process had before: Node and libraries. */
  readonly idleRssMb: number;
  /** How far the worst frame is from the middle of its slice; null for pictures. */
  readonly worstErrorMs: number | null;
  /** How many different scenes are shown, where these are counted. */
  readonly scenesCovered?: number;
}

const pictureRuns = 5;

async function runCase({ method, request, scenes, picture }: Case): Promise<Row> {
  if (request && scenes !== undefined) return runSceneCase(method, request, scenes);
  if (request) {
    // A server starts its thread and loads its libraries once, not for every clip.
    if (method === 'ours' || method === 'ours-exact') await prepareAnother(method, request.ffmpeg);
    if (method === 'keyframes-alone') await benchKeyframes(request.ffmpeg, request.frames);
    const usage = await measureUsage(() => (frameMethods[method] ?? unknownMethod(method))(request));
    const { length } = usage.value;
    if (method === 'keyframes-alone') return rowOf(method, request.clip.name, length, usage);
    const errors = await errorsMs(request, usage.value);
    return rowOf(method, request.clip.name, length, usage, Math.max(...errors));
  }
  const prepare = pictureMethods[method] ?? unknownMethod(method);
  const path = picture ?? '';
  // Loads the libraries, which a server does once.
  await prepare(path);
  const usages: MediaUsage[] = [];
  for (let i = 0; i < pictureRuns; i += 1) usages.push(await measureUsage(() => prepare(path)));
  const middle = (of: keyof MediaUsage) => median(usages.map((usage) => usage[of]));
  return rowOf(method, path.replace(/.*\//, ''), 1, {
    ...{
      cpuSeconds: middle('cpuSeconds'),
      wallSeconds: middle('wallSeconds'),
      peakRssMb: middle('peakRssMb'),
      idleRssMb: middle('idleRssMb'),
    },
  });
}

async function runSceneCase(method: string, request: FrameRequest, scenes: number): Promise<Row> {
  if (method !== 'select-scene') await prepareAnother(method, request.ffmpeg);
  const usage = await measureUsage(() => (sceneMethods[method] ?? unknownMethod(method))(request));
  const shown = await Promise.all(usage.value.map((picture) => sceneShown(picture, scenes)));
  const row = rowOf(method, request.clip.name, usage.value.length, usage);
  return { ...row, scenesCovered: new Set(shown).size };
}

/** A clip of one second. */
async function prepareAnother(method: string, ffmpeg: string): Promise<void> {
  const request = { clip: await benchClip(ffmpeg, 1, 30), frames: 1, ffmpeg };
  await (frameMethods[method] ?? sceneMethods[method] ?? unknownMethod(method))(request);
}

function unknownMethod(method: string): never {
  throw new Error(`There is no method ${method}.`);
}

/** Long clips repeat a minute, so what is seen is only known within it. */
async function errorsMs(request: FrameRequest, pictures: readonly Uint8Array[]): Promise<number[]> {
  const loopFrames = loopSeconds * fps;
  return Promise.all(
    targetsOf(request).map(async (target, slice) => {
      const picture = pictures[slice];
      if (!picture) return Number.POSITIVE_INFINITY;
      // A frame is on screen from its own time to the next.
      const off = ((await readPattern(picture)) - Math.floor(target * fps + 1e-6)) % loopFrames;
      const frames = Math.min(Math.abs(off), loopFrames - Math.abs(off));
      return (frames * 1000) / fps;
    }),
  );
}

function rowOf(method: string, clip: string, frames: number, usage: MediaUsage, worstErrorMs?: number): Row {
  return {
    ...{ method, clip, frames },
    cpuSeconds: rounded(usage.cpuSeconds),
    wallSeconds: rounded(usage.wallSeconds),
    peakRssMb: rounded(usage.peakRssMb, 0),
    idleRssMb: rounded(usage.idleRssMb, 0),
    worstErrorMs: worstErrorMs === undefined ? null : rounded(worstErrorMs, 0),
  };
}

let script: Promise<string> | undefined;

async function runApart(benchCase: Case): Promise<Row> {
  script ??= compiled('./media.ts');
  const child = spawn(process.execPath, [await script, '--case', JSON.stringify(benchCase)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`The case ${JSON.stringify(benchCase)} ended with ${code}.`);
  process.stderr.write(output);
  return JSON.parse(output) as Row;
}

const numbers = (list: string): number[] => list.split(',').filter(Boolean).map(Number);
const list = (given: string | undefined, quick: string, whole: string) =>
  numbers(given ?? (options.quick ? quick : whole));
const skipped: { readonly method: string; readonly why: string }[] = [];

async function available(methods: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const method of methods) {
    if (options.methods && !options.methods.split(',').includes(method)) continue;
    const why = await obstacleTo(method);
    if (!why) found.push(method);
    else {
      skipped.push({ method, why });
      process.stderr.write(`SKIPPED: ${method}. ${why}\n`);
    }
  }
  return found;
}

async function measureClips(): Promise<Row[]> {
  const [ffmpeg] = availableFfmpegs().values();
  if (!ffmpeg) throw new Error('There is no ffmpeg: apt install ffmpeg.');
  const methods = await available(Object.keys(frameMethods));
  const rows: Row[] = [];
  const gops = list(options.gops, '30,250', '30,250');
  const kind: ClipKind = { bFrames: options['b-frames'] };
  const clips = list(options.seconds, '10,60', '10,60,600,3600').flatMap((seconds) =>
    gops.map((gop) => ({ seconds, gop, kind })),
  );
  const large = gops.map((gop) => ({ seconds: 20, gop, kind: { ...kind, size: '4k' as const } }));
  for (const { seconds, gop, kind } of options['4k'] ? [...clips, ...large] : clips) {
    const clip = await benchClip(ffmpeg, seconds, gop, kind);
    for (const frames of list(options.frames, '8', '8,32')) {
      for (const method of methods) {
        rows.push(await runApart({ method, request: { clip, frames, ffmpeg } }));
      }
    }
  }
  return rows;
}

async function measureScenes(): Promise<Row[]> {
  const [ffmpeg] = availableFfmpegs().values();
  if (!ffmpeg) throw new Error('There is no ffmpeg: apt install ffmpeg.');
  const methods = await available(Object.keys(sceneMethods));
  const rows: Row[] = [];
  for (const { scenes, ...clip } of await sceneClips()) {
    for (const frames of list(options.frames, '8', '8,32')) {
      for (const method of methods)
        rows.push(await runApart({ method, request: { clip, frames, ffmpeg }, scenes }));
    }
  }
  return rows;
}

async function measurePictures(): Promise<Row[]> {
  const methods = await available(Object.keys(pictureMethods));
  const rows: Row[] = [];
  for (const format of pictureFormats) {
    const picture = await benchPicture(format);
    for (const method of methods) {
      const why = format === 'webp' && method === 'jimp' && 'jimp reads no WebP.';
      if (why) skipped.push({ method, why });
      else rows.push(await runApart({ method, picture }));
    }
  }
  return rows;
}

if (options.case !== undefined) {
  process.stdout.write(`${JSON.stringify(await runCase(JSON.parse(options.case) as Case))}\n`);
} else {
  const clips = options['no-clips'] ? [] : await measureClips();
  const scenes = options.scenes ? await measureScenes() : [];
  const pictures = options['no-pictures'] ? [] : await measurePictures();
  const result = { node: process.version, platform: process.platform, clips, scenes, pictures, skipped };
  process.stdout.write(`${JSON.stringify(result, undefined, options.json ? undefined : 2)}\n`);
}
