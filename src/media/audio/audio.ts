import { buffer } from 'node:stream/consumers';
import { MediaError } from '../../core/errors.js';
import { audioTokens } from '../budget/media-tokens.js';
import { runFfmpeg } from '../ffmpeg/ffmpeg.js';
import type { FfmpegBinary } from '../ffmpeg/ffmpeg-location.js';
import type { MediaProbe } from '../ffmpeg/probe.js';
import type { MediaSettings } from '../media-options.js';
import { cutSpan } from '../source/excerpt.js';
import type { LocalSource } from '../source/source.js';
import type { PreparedContent } from '../work/prepared-parts.js';

/** What Gemini takes of sound: https://ai.google.dev/gemini-api/docs/audio#supported-formats */
const acceptedTypes = new Set([
  'audio/wav',
  'audio/mp3',
  'audio/aiff',
  'audio/aac',
  'audio/ogg',
  'audio/flac',
]);

/** The model brings sound down to 16 Kbps mono itself, so more than this is only carried for nothing. */
const speechOptions = ['-ac', '1', '-ar', '16000', '-c:a', 'libmp3lame', '-b:a', '32k', '-f', 'mp3'];
/** For an ffmpeg that was built without the MP3 encoder. */
const fallbackOptions = ['-ac', '1', '-ar', '16000', '-c:a', 'aac', '-b:a', '32k', '-f', 'adts'];

/**
 * A clip's sound counts when some three seconds of it are as loud as this, in LUFS. EBU R 128 asks of
 * programs 27 LU more; the hiss and hum of a quiet room or an idle input mostly stay below it.
 */
const speechLoudness = -50;
/** What nobody can hear, in LUFS: the absolute gate of ITU-R BS.1770. */
const audibleLoudness = -70;

export interface Sound {
  readonly mimeType: string;
  readonly data: Uint8Array;
  readonly durationMs: number;
}

export interface SoundRequest {
  readonly path: string;
  readonly demuxer: string;
  /** Number of the stream in the file, or `a:0` for the first with sound. */
  readonly stream: number | 'a:0';
  readonly startMs?: number | undefined;
  readonly maxMs?: number | undefined;
  /** Whether it was attached for itself, and so is taken however quiet it is. */
  readonly isRecording?: boolean | undefined;
}

/** One audio track as mono speech-quality sound, or nothing when it is too quiet or cannot be decoded. */
export async function extractSound(
  request: SoundRequest,
  binary: FfmpegBinary,
  settings: MediaSettings,
  signal: AbortSignal,
): Promise<Sound | undefined> {
  const mp3 = await transcode(request, speechOptions, binary, settings, signal);
  if (mp3.data.byteLength > 0) return mp3.quiet ? undefined : { ...mp3, mimeType: 'audio/mp3' };
  if (!/Unknown encoder/.test(mp3.log)) return undefined;
  const aac = await transcode(request, fallbackOptions, binary, settings, signal);
  return aac.quiet || aac.data.byteLength === 0 ? undefined : { ...aac, mimeType: 'audio/aac' };
}

async function transcode(
  { path, demuxer, stream, startMs, maxMs, isRecording }: SoundRequest,
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
        const [, short, all] = /\bS:\s*(-?[\d.]+)\s+I:\s*(-?[\d.]+) LUFS/.exec(line) ?? [];
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
  // What is not longer than three seconds has no loudness but that of the whole.
  const loudness = Math.max(loudestSeconds, integrated);
  // The whole is never said to be quieter than the gate, so that silence is at it.
  const quiet = loudness <= (isRecording ? audibleLoudness : speechLoudness);
  return { data: value, quiet, durationMs, log };
}

/**
 * A recording, unchanged when the model takes its format and it is small, as mono MP3 otherwise.
 *
 * @throws MediaError `corrupt`, `too-large`
 */
export async function prepareRecording(
  source: LocalSource,
  format: { readonly mimeType: string; readonly demuxer: string },
  probe: MediaProbe,
  binary: FfmpegBinary,
  settings: MediaSettings,
  signal: AbortSignal,
): Promise<PreparedContent> {
  const { audio, durationMs } = probe;
  if (!audio)
    throw new MediaError('corrupt', `"${source.name}" has no sound that can be read. Export it again.`);
  const { excerpt } = source;
  const info = { mimeType: format.mimeType, bytes: source.bytes, codec: audio.codec };
  if (
    !excerpt &&
    acceptedTypes.has(format.mimeType) &&
    durationMs &&
    isSmall(source.bytes, durationMs, settings)
  ) {
    return {
      parts: [{ mimeType: format.mimeType, data: Uint8Array.from(await source.read()) }],
      estimatedTokens: audioTokens(durationMs),
      source: { ...info, durationMs },
    };
  }
  const part =
    excerpt && cutSpan({ startMs: 0, endMs: durationMs ?? Number.POSITIVE_INFINITY }, excerpt, source.name);
  const request = {
    ...{ path: await source.path(), demuxer: format.demuxer, stream: audio.index, isRecording: true },
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

function isSmall(bytes: number, durationMs: number, settings: MediaSettings): boolean {
  if (bytes > settings.maxInlineBytes) return false;
  return bytes <= smallBytes || (bytes * 8) / (durationMs / 1000) <= smallBitsPerSecond;
}
