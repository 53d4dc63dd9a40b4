import { createHash } from 'node:crypto';
import type { FilePart } from '../../../core/message.js';
import type { GeneratedFile } from '../../chat-model.js';
import { metadataOf } from '../gemini-parts.js';
import { isObject, type Json } from '../json.js';

/** The usual extension where it is not the media type's own name. */
const extensions: ReadonlyMap<string, string> = new Map([
  ['jpeg', 'jpg'],
  ['svg+xml', 'svg'],
  ['mpeg', 'mp3'],
  ['x-wav', 'wav'],
  ['plain', 'txt'],
]);

const kinds: ReadonlySet<string> = new Set(['image', 'audio', 'video']);

/** A file of an answer with its part for the record, which holds its signature but not its bytes. */
export interface ReceivedFile {
  readonly file: GeneratedFile;
  readonly part: FilePart;
}

/** Names the files of one answer: `image-1.png`, `image-2.png`, `audio-1.wav`. */
export class GeneratedFiles {
  readonly #counts = new Map<string, number>();
  /** Raw samples of speech, which come in many parts. */
  #samples: { readonly mimeType: string; readonly chunks: Buffer[]; beside: Json } | undefined;

  /**
   * The file in a part; undefined if it has none, an empty one, or raw samples, which `end` returns as one file.
   */
  read({ inlineData, ...beside }: Json): ReceivedFile | undefined {
    if (!isObject(inlineData) || typeof inlineData.data !== 'string') return undefined;
    const bytes = Buffer.from(inlineData.data, 'base64');
    if (bytes.length === 0) return undefined;
    const mimeType =
      typeof inlineData.mimeType === 'string' && inlineData.mimeType !== ''
        ? inlineData.mimeType
        : 'application/octet-stream';
    if (!isRawSound(mimeType)) return this.#receive(mimeType, bytes, beside);
    this.#samples ??= { mimeType, chunks: [], beside };
    this.#samples.chunks.push(bytes);
    this.#samples.beside = { ...this.#samples.beside, ...beside };
    return undefined;
  }

  /** Whether sound is waiting for `end`. */
  get hasSamples(): boolean {
    return this.#samples !== undefined;
  }

  /** The sound whose raw samples came, as WAV, which players know. */
  end(): ReceivedFile | undefined {
    if (this.#samples === undefined) return undefined;
    const { beside, chunks, mimeType } = this.#samples;
    return this.#receive('audio/wav', toWav(Buffer.concat(chunks), mimeType), beside);
  }

  #receive(mimeType: string, bytes: Buffer, beside: Json): ReceivedFile {
    const fingerprint = createHash('sha256').update(bytes).digest('hex');
    const name = this.#nameFor(mimeType);
    // A copy with a buffer of its own: small ones of Node share one.
    const data = new Uint8Array(bytes);
    return {
      file: { mimeType, data, fingerprint, name },
      part: { type: 'file', mimeType, fingerprint, bytes: data.length, name, ...metadataOf(beside) },
    };
  }

  #nameFor(mimeType: string): string {
    const [type = '', subtype = ''] = mimeType.toLowerCase().split(';', 1)[0]?.split('/') ?? [];
    const kind = kinds.has(type) ? type : 'file';
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    const extension = extensions.get(subtype) ?? (/^[a-z0-9]+$/.test(subtype) ? subtype : 'bin');
    return `${kind}-${count}.${extension}`;
  }
}

/** `audio/L16;codec=pcm;rate=24000`: 16-bit samples, little-endian, https://ai.google.dev/gemini-api/docs/speech-generation */
const isRawSound = (mimeType: string) => /^audio\/(?:l16|pcm)\b/i.test(mimeType);

function toWav(samples: Buffer, mimeType: string): Buffer {
  const parameter = (name: string) => Number(new RegExp(`${name}=(\\d+)`, 'i').exec(mimeType)?.[1]);
  const rate = parameter('rate') || 24_000;
  const channels = parameter('channels') || 1;
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + samples.length, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * channels * 2, 28);
  header.writeUInt16LE(channels * 2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}
