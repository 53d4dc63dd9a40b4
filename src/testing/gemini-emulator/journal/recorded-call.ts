import type { WireContent, WireGenerateRequest, WirePart } from '../wire/messages.js';
import { isSentinel } from '../wire/sentinels.js';
import { byteLengthOfBase64 } from '../wire/token-count.js';
import { type ImageSize, readImageSize } from './image-size.js';

/** The kind of call, by its path. */
export type GeminiOperation =
  | 'generate'
  | 'embed'
  | 'countTokens'
  | 'models'
  | 'upload'
  | 'files'
  | 'unknown';

/** An inline picture of a request. */
export interface RecordedImage {
  readonly mimeType: string;
  /** In pixels; 0 if the header could not be read. */
  readonly width: number;
  /** In pixels; 0 if the header could not be read. */
  readonly height: number;
  /** Size in bytes. */
  readonly bytes: number;
  readonly data: Buffer;
  /** The text part just before it, such as `clip.mp4, frame at 0:03.5`. */
  readonly label: string | undefined;
}

/** One call that the emulator received. It is updated until its connection has closed. */
export class RecordedCall {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly operation: GeminiOperation;
  /** Without `models/`; empty if the call names none. */
  readonly model: string;
  /** Empty if none was sent. */
  readonly key: string;
  /** Whether the key came as `?key=`, which ends up in logs, instead of in `x-goog-api-key`. */
  readonly keyInUrl: boolean;
  readonly stream: boolean;
  /** The parsed JSON body; `undefined` if there was none. */
  readonly body: unknown;
  /** Milliseconds since the epoch, by the emulator's clock. */
  readonly startedAt: number;
  /** HTTP status of the reply; 0 while there is none, and if the connection was cut before. */
  status = 0;
  /** Whether the client hung up before the end of the reply. */
  aborted = false;
  /** The fault that was injected into it. */
  fault: string | undefined;
  /** The project that the key belongs to. */
  project: string | undefined;
  /** Milliseconds since the epoch; `undefined` while the call is being answered. */
  endedAt: number | undefined;

  #images: readonly RecordedImage[] | undefined;

  constructor(
    call: Pick<RecordedCall, 'method' | 'path' | 'operation' | 'model' | 'key' | 'keyInUrl' | 'stream'> & {
      readonly body: unknown;
      readonly startedAt: number;
    },
  ) {
    this.method = call.method;
    this.path = call.path;
    this.operation = call.operation;
    this.model = call.model;
    this.key = call.key;
    this.keyInUrl = call.keyInUrl;
    this.stream = call.stream;
    this.body = call.body;
    this.startedAt = call.startedAt;
  }

  /** The messages of a `generateContent` request, oldest first. */
  get contents(): readonly WireContent[] {
    return (this.body as WireGenerateRequest | undefined)?.contents ?? [];
  }

  /** Whether a part of the messages holds a thought signature, and not just what stands for one. */
  get hasSignature(): boolean {
    return this.contents.some(({ parts }) =>
      parts?.some(({ thoughtSignature }) => thoughtSignature && !isSentinel(thoughtSignature)),
    );
  }

  get systemInstruction(): string | undefined {
    const parts = (this.body as WireGenerateRequest | undefined)?.systemInstruction?.parts;
    return parts?.map((part) => part.text ?? '').join('\n');
  }

  /** All texts of the messages, in order. */
  get texts(): readonly string[] {
    return this.contents.flatMap((content) =>
      (content.parts ?? []).flatMap((part) => (part.text === undefined ? [] : [part.text])),
    );
  }

  /** All inline pictures of the messages, in order. */
  get images(): readonly RecordedImage[] {
    this.#images ??= this.contents.flatMap(readImages);
    return this.#images;
  }
}

function readImages(content: WireContent): RecordedImage[] {
  const parts = content.parts ?? [];
  return parts.flatMap((part, index) => {
    const { mimeType, data } = part.inlineData ?? {};
    if (!mimeType?.startsWith('image/') || data === undefined) return [];
    const bytes = Buffer.from(data, 'base64');
    const size = readImageSize(bytes) ?? { width: 0, height: 0 };
    const label = parts[index - 1]?.text;
    return [{ mimeType, ...size, bytes: bytes.length, data: bytes, label }];
  });
}

/** Size of a part's inline data, decoding no more than an image header. */
export function describeInlineData(part: WirePart): { bytes: number; size: ImageSize | undefined } {
  const data = part.inlineData?.data ?? '';
  // An EXIF block of up to 64 kB may precede the size.
  const head = Buffer.from(data.slice(0, 131_072), 'base64');
  return { bytes: byteLengthOfBase64(data), size: readImageSize(head) };
}
