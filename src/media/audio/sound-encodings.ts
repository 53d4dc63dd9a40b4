import type { MediaCapabilities } from '../../core/media.js';
import { acceptedAs } from '../model-accepts.js';

/** One way to encode sound as mono speech. */
export interface SoundEncoding {
  readonly mimeType: string;
  /** Output options of ffmpeg. */
  readonly options: readonly string[];
  readonly bytesPerSecond: number;
}

/** Models bring sound down to 16 kbit/s mono themselves, so a higher rate would only cost bytes. */
const speech = ['-ac', '1', '-ar', '16000'];
const bitRate = ['-b:a', '32k'];

/** The first of them that the model takes is used; the next for an ffmpeg that was built without it. */
const encodings: readonly SoundEncoding[] = [
  {
    mimeType: 'audio/mp3',
    options: [...speech, '-c:a', 'libmp3lame', ...bitRate, '-f', 'mp3'],
    bytesPerSecond: 4000,
  },
  {
    mimeType: 'audio/aac',
    options: [...speech, '-c:a', 'aac', ...bitRate, '-f', 'adts'],
    bytesPerSecond: 4000,
  },
  { mimeType: 'audio/flac', options: [...speech, '-c:a', 'flac', '-f', 'flac'], bytesPerSecond: 32_000 },
  { mimeType: 'audio/wav', options: [...speech, '-c:a', 'pcm_s16le', '-f', 'wav'], bytesPerSecond: 32_000 },
];

/** The encodings that a model takes, under its own names of them, the best first. */
export function encodingsFor(accepts: MediaCapabilities | undefined): readonly SoundEncoding[] {
  return encodings.flatMap((encoding) => {
    const mimeType = acceptedAs(accepts, encoding.mimeType);
    return mimeType === undefined ? [] : [{ ...encoding, mimeType }];
  });
}

/** Fills in the lengths that ffmpeg cannot know when it writes WAV to a pipe. Others stay as they are. */
export function withLengths(data: Buffer): Buffer {
  if (data.toString('latin1', 0, 4) !== 'RIFF') return data;
  const chunk = data.indexOf('data', 12, 'latin1');
  if (chunk < 0 || chunk + 8 > data.length) return data;
  data.writeUInt32LE(data.length - 8, 4);
  data.writeUInt32LE(data.length - chunk - 8, chunk + 4);
  return data;
}
