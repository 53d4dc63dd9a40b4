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
  const { log } = await runFfmpeg(
    binary,
    {
      input: { path },
      demuxer,
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
  const probe = parseProbe(lines.join('\n'));
  if (probe.video || probe.audio) return probe;
  throw new MediaError(
    'corrupt',
    `"${name}" has neither picture nor sound that can be read: it is damaged, incomplete or not what it seems. Export or upload it again.`,
    { cause: new Error(log.slice(-2000)) },
  );
}

const maxProbeLines = 2000;

/** Reads ffmpeg's description of its first input. */
export function parseProbe(log: string): MediaProbe {
  const input = log.split(/^(?:Output #|Stream mapping:)/m, 1)[0] ?? '';
  const [, hours, minutes, seconds] = /Duration: (\d+):(\d+):(\d+(?:\.\d+)?)/.exec(input) ?? [];
  const durationMs = hours && (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  const streams = input.split(/^\s*(?=Stream #0:)/m).filter((text) => text.startsWith('Stream #0:'));
  return {
    durationMs: durationMs ? Math.round(durationMs) : undefined,
    video: streams.map(parseVideoStream).find((stream) => stream !== undefined),
    audio: streams.map(parseAudioStream).find((stream) => stream !== undefined),
  };
}

const streamPattern = /^Stream #0:(\d+)[^:]*: (Video|Audio): (\w+)/;

function parseAudioStream(text: string): MediaProbe['audio'] {
  const [, index, kind, codec] = streamPattern.exec(text) ?? [];
  return kind === 'Audio' && codec && codec !== 'none' ? { index: Number(index), codec } : undefined;
}

function parseVideoStream(text: string): VideoStream | undefined {
  const [, index, kind, codec] = streamPattern.exec(text) ?? [];
  const [line = ''] = text.split('\n', 1);
  // Cover art is a stream as well, but no clip.
  if (kind !== 'Video' || !codec || codec === 'none' || line.includes('(attached pic)')) return undefined;
  const [, width, height] = /, (\d{1,5})x(\d{1,5})(?=[ ,]|$)/.exec(line) ?? [];
  if (!Number(width) || !Number(height)) return undefined;
  const [, fps, thousands] = /, ([\d.]+)(k?) fps/.exec(line) ?? [];
  const [, numerator, denominator] = /\bSAR (\d+):(\d+)/.exec(line) ?? [];
  const degrees = Number(
    /rotation of (-?[\d.]+) degrees/.exec(text)?.[1] ?? /rotate\s*: (-?\d+)/.exec(text)?.[1] ?? 0,
  );
  return {
    index: Number(index),
    codec,
    width: Number(width),
    height: Number(height),
    fps: fps ? Number(fps) * (thousands ? 1000 : 1) : undefined,
    colors: colorsOfFormat(/, [a-z]\w*\(([^()]*)\)/.exec(line)?.[1] ?? '', Number(height)),
    sampleAspectRatio: Number(numerator) / Number(denominator) || 1,
    turned: Math.abs(Math.round(degrees / 90)) % 2 === 1,
  };
}
