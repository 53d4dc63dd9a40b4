import { createHash } from 'node:crypto';
import type { FilePart } from '../../core/message.js';
import type { GeneratedFile } from '../chat-model.js';
import { metadataOf } from './gemini-parts.js';
import { isObject, type Json } from './json.js';

/** The usual extension where it is not the media type's own name. */
const extensions: ReadonlyMap<string, string> = new Map([
  ['jpeg', 'jpg'],
  ['svg+xml', 'svg'],
  ['mpeg', 'mp3'],
  ['x-wav', 'wav'],
  ['plain', 'txt'],
  // Raw samples, such as `audio/L16;codec=pcm;rate=24000`.
  ['l16', 'pcm'],
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

  /** The file in a part; undefined if it has none, or an empty one. */
  read({ inlineData, ...beside }: Json): ReceivedFile | undefined {
    if (!isObject(inlineData) || typeof inlineData.data !== 'string') return undefined;
    const bytes = Buffer.from(inlineData.data, 'base64');
    if (bytes.length === 0) return undefined;
    const mimeType =
      typeof inlineData.mimeType === 'string' && inlineData.mimeType !== ''
        ? inlineData.mimeType
        : 'application/octet-stream';
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
