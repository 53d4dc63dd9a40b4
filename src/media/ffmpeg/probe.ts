import { randomBytes } from 'node:crypto';
import { MediaError } from '../../core/errors.js';
import { type ColorHint, colorsOfFormat } from '../frame/colors.js';
import { type FfmpegLimits, runFfmpeg } from './ffmpeg.js';
import type { FfmpegBinary } from './ffmpeg-location.js';

export interface VideoStream {
  /** Its number among all streams of the file, for `-map 0:N`. */
  readonly index: number;
  readonly codec: string;
  /** As stored, before rotation. */
  readonly width: number;
  readonly height: number;
  /** Frames a second, if the container names it. */
  readonly fps: number | undefined;
  readonly colors: ColorHint;
  readonly sampleAspectRatio: number;
  /** Whether width and height change places when it is shown. */
  readonly turned: boolean;
}

/** ffmpeg's description of a file. */
export interface MediaProbe {
  readonly durationMs: number | undefined;
  readonly video: VideoStream | undefined;
  readonly audio: { readonly index: number; readonly codec: string } | undefined;
}

/**
 * Looks at a file with ffmpeg itself, because a clean machine has no ffprobe.
 *
 * @throws MediaError `corrupt` if it has neither picture nor sound.
 */
export async function probeFile(
  path: string,
  name: string,
  demuxer: string,
  binary: FfmpegBinary,
  limits: FfmpegLimits,
  signal: AbortSignal,
): Promise<MediaProbe> {
  const lines: string[] = [];
  const separator = ` <${randomBytes(8).toString('hex')}> `;
  const { log } = await runFfmpeg(
    binary,
    {
      name,
      input: { path },
      demuxer,
      inputOptions: ['-dump_separator', separator],
      // No output: only the log of opening the input is wanted.
      outputOptions: ['-map', '0:v:0?', '-map', '0:a:0?', '-c', 'copy', '-t', '0', '-f', 'null'],
      consume: async (output) => {
        output.resume();
      },
      onLog: (line) => lines.length < maxProbeLines && lines.push(line),
    },
    limits,
    signal,
  );
  const probe = parseProbe(lines.join('\n'), separator, demuxer);
  if (probe.video || probe.audio) return probe;
  throw new MediaError(
    'corrupt',
    `"${name}" has neither picture nor sound that can be read: it is damaged, incomplete or not what it seems. Export or upload it again.`,
    { cause: new Error(log.slice(-2000)) },
  );
}

const maxProbeLines = 2000;

/**
 * Reads ffmpeg's description of its first input. Titles, names and languages of a file are printed in
 * between, line breaks included, so a stream is only a line with the separator that was chosen for this
 * run, and a duration is only believed if there is one.
 */
export function parseProbe(log: string, separator: string, demuxer = ''): MediaProbe {
  const lines = log.split('\n');
  const durations = lines.filter((line) => line.startsWith('  Duration: '));
  const starts = lines.flatMap((line, at) =>
    /^ {2,4}Stream #0:/.test(line) && line.includes(separator) ? [at] : [],
  );
  const streams = starts.map((at, i) => describeStream(lines.slice(at, starts[i + 1]), separator));
  return {
    durationMs: durations.length === 1 ? readDuration(durations[0] ?? '', demuxer) : undefined,
    video: streams.map(readVideo).find((stream) => stream !== undefined),
    audio: streams.map(readAudio).find((stream) => stream !== undefined),
  };
}

/** Containers whose stated duration may count from zero though they begin later. */
const countsFromZero = /matroska|mov/;
const lateStartSeconds = 0.5;

function readDuration(line: string, demuxer: string): number | undefined {
  const [, hours, minutes, seconds, start] =
    /^ {2}Duration: (\d+):(\d+):(\d+(?:\.\d+)?)(?:, start: (-?[\d.]+))?/.exec(line) ?? [];
  if (Number(start) > lateStartSeconds && countsFromZero.test(demuxer)) return undefined;
  return Math.round((Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000) || undefined;
}

interface StreamText {
  readonly index: number;
  readonly kind: string;
  readonly codec: string;
  /** The fields of the stream, each after ", ". */
  readonly fields: string;
  /** Lines of metadata and side data. */
  readonly more: readonly string[];
}

function describeStream([line = '', ...more]: readonly string[], separator: string): StreamText {
  const [head = '', ...fields] = line.split(separator);
  // The last such word: a language may look like one.
  const [, index, kind = '', codec = ''] = /Stream #0:(\d+).*: (Video|Audio): (\w+)/.exec(head) ?? [];
  return { index: Number(index), kind, codec, fields: ['', ...fields].join(', '), more };
}

function readAudio({ codec, index, kind }: StreamText): MediaProbe['audio'] {
  return kind === 'Audio' && codec !== 'none' ? { index, codec } : undefined;
}

function readVideo({ codec, fields, index, kind, more }: StreamText): VideoStream | undefined {
  // Cover art is a stream as well, but no clip.
  if (kind !== 'Video' || codec === 'none' || fields.includes('(attached pic)')) return undefined;
  const [, width, height] = /, (\d{1,5})x(\d{1,5})(?=[ ,]|$)/.exec(fields) ?? [];
  if (!Number(width) || !Number(height)) return undefined;
  const [, fps, thousands] = /, ([\d.]+)(k?) fps/.exec(fields) ?? [];
  const [, numerator, denominator] = /\bSAR (\d+):(\d+)/.exec(fields) ?? [];
  const turns = more.flatMap(
    (line) => /^ {6}(?:displaymatrix: rotation of|rotate +:) (-?[\d.]+)/.exec(line)?.slice(1) ?? [],
  );
  return {
    index,
    codec,
    width: Number(width),
    height: Number(height),
    fps: fps ? Number(fps) * (thousands ? 1000 : 1) : undefined,
    colors: colorsOfFormat(/, [a-z]\w*\(([^()]*)\)/.exec(fields)?.[1] ?? '', Number(height)),
    sampleAspectRatio: Number(numerator) / Number(denominator) || 1,
    turned: Math.abs(Math.round(Number(turns.at(-1) ?? 0) / 90)) % 2 === 1,
  };
}
