import { buffer } from 'node:stream/consumers';
import { MediaError } from '../../core/errors.js';
import { audioTokens } from '../../core/media-tokens.js';
import { runFfmpeg } from '../ffmpeg/ffmpeg.js';
import type { FfmpegBinary } from '../ffmpeg/ffmpeg-location.js';
import type { MediaProbe } from '../ffmpeg/probe.js';
import type { MediaSettings } from '../media-options.js';
import { acceptedAs } from '../model-accepts.js';
import { cutSpan } from '../source/excerpt.js';
import { type ContainerFormat, soundTypeOf } from '../source/formats.js';
import type { LocalSource } from '../source/source.js';
import type { PreparedContent } from '../work/prepared-content.js';
import { encodingsFor, withLengths } from './sound-encodings.js';

/**
 * A clip's sound counts when some three seconds of it are as loud as this, in LUFS. EBU R 128 asks of
 * programs 27 LU more; the hiss and hum of a quiet room or an idle input mostly stay below it.
 */
const speechLoudness = -50;
/** Inaudible, in LUFS: the absolute gate of ITU-R BS.1770. */
const audibleLoudness = -70;
/** One block of ITU-R BS.1770: shorter sound has no loudness. */
const shortestMeasuredMs = 400;

export interface Sound {
  readonly mimeType: string;
  readonly data: Uint8Array;
  readonly durationMs: number;
}

export interface SoundRequest {
  /** The attachment, for messages. */
  readonly name: string;
  readonly path: string;
  readonly demuxer: string;
  /** Number of the stream in the file, or `a:0` for the first with sound. */
  readonly stream: number | 'a:0';
  readonly startMs?: number | undefined;
  readonly maxMs?: number | undefined;
  /** Whether it was attached for itself. It then goes along however quiet it is. */
  readonly isRecording?: boolean | undefined;
}

/**
 * One audio track as mono speech-quality sound in a type that the model takes; `undefined` if it is too
 * quiet or cannot be decoded.
 */
export async function extractSound(
  request: SoundRequest,
  binary: FfmpegBinary,
  settings: MediaSettings,
  signal: AbortSignal,
): Promise<Sound | undefined> {
  for (const { bytesPerSecond, mimeType, options } of encodingsFor(settings.accepts)) {
    const mostMs = (settings.maxInlineBytes / bytesPerSecond) * 1000;
    const maxMs = request.isRecording ? request.maxMs : Math.min(request.maxMs ?? mostMs, mostMs);
    const sound = await transcode({ ...request, maxMs }, options, binary, settings, signal);
    if (sound.data.byteLength > 0) return sound.quiet ? undefined : { ...sound, mimeType };
    if (!/Unknown encoder/.test(sound.log)) return undefined;
  }
  return undefined;
}

async function transcode(
  { name, path, demuxer, stream, startMs, maxMs, isRecording }: SoundRequest,
  encoding: readonly string[],
  binary: FfmpegBinary,
  settings: MediaSettings,
  signal: AbortSignal,
) {
  let loudestSeconds = Number.NEGATIVE_INFINITY;
  let integrated = Number.NEGATIVE_INFINITY;
  const { value, log } = await runFfmpeg(
    binary,
    {
      name,
      input: { path },
      demuxer,
      // Video packets are skipped as they are read rather than queued for a decoder.
      inputOptions: [...(startMs ? ['-ss', (startMs / 1000).toFixed(3)] : []), '-vn', '-sn', '-dn'],
      outputOptions: [
        '-map',
        `0:${stream}`,
        ...(maxMs && Number.isFinite(maxMs) ? ['-t', (maxMs / 1000).toFixed(3)] : []),
        '-map_metadata',
        '-1',
        '-af',
        // Measured as it is sent, which takes an eighth of the time that it would at full rate.
        'aformat=channel_layouts=mono:sample_rates=16000,ebur128',
        ...encoding,
      ],
      consume: (output) => buffer(output),
      onLog: (line) => {
        // "t: 3.1  M: -23.4 S: -23.5  I: -23.4 LUFS": the last 400 ms, the last 3 s, and all so far.
        const [, short, all] = /^\[Parsed_ebur128.*\bS:\s*(-?[\d.]+)\s+I:\s*(-?[\d.]+) LUFS/.exec(line) ?? [];
        if (short === undefined) return;
        loudestSeconds = Math.max(loudestSeconds, Number(short));
        integrated = Number(all);
      },
    },
    settings,
    signal,
  );
  const played = [...log.matchAll(/time=(\d+):(\d+):(\d+(?:\.\d+)?)/g)].at(-1);
  const durationMs = played
    ? (Number(played[1]) * 3600 + Number(played[2]) * 60 + Number(played[3])) * 1000
    : 0;
  // A recording of up to three seconds has only the loudness of the whole.
  const loudness = Math.max(loudestSeconds, integrated);
  // ffmpeg reports nothing below the gate, so silence is at it.
  const isMeasured = durationMs >= shortestMeasuredMs;
  const quiet = isMeasured && loudness <= (isRecording ? audibleLoudness : speechLoudness);
  return { data: withLengths(value), quiet, durationMs, log };
}

/**
 * A recording: unchanged if the model takes its format and it is small, transcoded to speech quality
 * otherwise. No part, but a note, for a model that takes no sound.
 *
 * @throws MediaError `corrupt`, `too-large`
 */
export async function prepareRecording(
  source: LocalSource,
  format: ContainerFormat,
  probe: MediaProbe,
  binary: FfmpegBinary,
  settings: MediaSettings,
  signal: AbortSignal,
): Promise<PreparedContent> {
  const { audio, durationMs } = probe;
  if (!audio)
    throw new MediaError('corrupt', `"${source.name}" has no sound that can be read. Export it again.`);
  const { excerpt } = source;
  const info = { mimeType: soundTypeOf(format), bytes: source.bytes, codec: audio.codec };
  const canBeTranscoded = encodingsFor(settings.accepts).length > 0;
  const ownType =
    settings.accepts || format.isCommonSound ? acceptedAs(settings.accepts, info.mimeType) : undefined;
  if (
    ownType !== undefined &&
    !excerpt &&
    durationMs &&
    isSendable(source.bytes, durationMs, canBeTranscoded, settings)
  ) {
    return {
      parts: [{ mimeType: ownType, data: Uint8Array.from(await source.read()) }],
      estimatedTokens: audioTokens(durationMs),
      source: { ...info, durationMs },
    };
  }
  if (!canBeTranscoded) {
    return {
      parts: [],
      estimatedTokens: 0,
      source: { ...info, durationMs },
      note: 'It is left out: the model takes no sound of this kind.',
    };
  }
  const part =
    excerpt && cutSpan({ startMs: 0, endMs: durationMs ?? Number.POSITIVE_INFINITY }, excerpt, source.name);
  const request = {
    ...{ name: source.name, path: await source.path(), demuxer: format.demuxer },
    ...{ stream: audio.index, isRecording: true },
    ...(part && { startMs: part.startMs, maxMs: part.endMs - part.startMs }),
  };
  const sound = await extractSound(request, binary, settings, signal);
  if (!sound) {
    throw new MediaError(
      'corrupt',
      `"${source.name}" is silent or cannot be decoded. Listen to it and export it again.`,
    );
  }
  if (sound.data.byteLength > settings.maxInlineBytes) {
    throw new MediaError(
      'too-large',
      `"${source.name}" is too long to send in one piece. Cut it into parts.`,
    );
  }
  const playedMs = Math.round(durationMs ?? sound.durationMs);
  return {
    parts: [{ mimeType: sound.mimeType, data: sound.data }],
    estimatedTokens: audioTokens(part ? Math.round(sound.durationMs) : playedMs),
    source: { ...info, durationMs: playedMs },
  };
}

/** Twice the size of what transcoding makes of it is still not worth the work. */
const smallBytes = 2 ** 20;
const smallBitsPerSecond = 64_000;

/** Whether a recording goes unchanged: transcoding is not worth the work, or not possible. */
function isSendable(
  bytes: number,
  durationMs: number,
  canBeTranscoded: boolean,
  settings: MediaSettings,
): boolean {
  if (bytes > settings.maxInlineBytes) return false;
  return !canBeTranscoded || bytes <= smallBytes || (bytes * 8) / (durationMs / 1000) <= smallBitsPerSecond;
}
