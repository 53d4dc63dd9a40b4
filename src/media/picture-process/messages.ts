import type { Readable, Writable } from 'node:stream';

/** One message between the two processes: what is said as JSON, and bytes that go along. */
export interface WireMessage {
  readonly header: unknown;
  readonly payloads: readonly Uint8Array[];
}

/** Far above what a name, the settings and a sentence take. */
const maxHeaderBytes = 2 ** 20;
const lengthBytes = 4;

/** Writes one message: the length of its header, the header with the sizes of the payloads, the payloads. */
export function writeMessage(stream: Writable, header: unknown, payloads: readonly Uint8Array[] = []): void {
  const sizes = payloads.map(({ byteLength }) => byteLength);
  const json = Buffer.from(JSON.stringify({ header, sizes }));
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt32LE(json.byteLength);
  stream.write(Buffer.concat([length, json]));
  for (const payload of payloads) if (payload.byteLength > 0) stream.write(payload);
}

/** A process said what this protocol has no words for, or said too much. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError' as const;
}

/**
 * Reads messages until the stream ends. Nothing is allocated before it is known to be within the limit.
 *
 * @param maxBytes of the payloads of one message together
 * @throws ProtocolError for anything that is no message, and for one that is larger.
 */
export async function* readMessages(
  stream: Readable,
  maxBytes: () => number,
): AsyncGenerator<WireMessage, void, undefined> {
  const bytes = new Pieces(stream);
  for (;;) {
    const length = (await bytes.take(lengthBytes))?.readUInt32LE();
    if (length === undefined) return;
    if (length > maxHeaderBytes) throw new ProtocolError(`A header of ${length} bytes.`);
    const { header, sizes } = parseHeader(await bytes.take(length));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (total > maxBytes()) throw new ProtocolError(`A message of ${total} bytes.`);
    const payloads: Uint8Array[] = [];
    for (const size of sizes) {
      const payload = await bytes.take(size);
      if (!payload) throw new ProtocolError('A message that breaks off.');
      payloads.push(payload);
    }
    yield { header, payloads };
  }
}

function parseHeader(json: Buffer | undefined): { header: unknown; sizes: readonly number[] } {
  let parsed: { header?: unknown; sizes?: unknown } | null;
  try {
    parsed = JSON.parse(json?.toString('utf8') ?? '') as typeof parsed;
  } catch (cause) {
    throw new ProtocolError('A header that is no JSON.', { cause });
  }
  const sizes = parsed?.sizes;
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) >= 0;
  if (!Array.isArray(sizes) || !sizes.every(isSize)) throw new ProtocolError('A header without sizes.');
  return { header: parsed?.header, sizes: sizes as number[] };
}

/** Takes bytes off a stream in pieces of known length. */
class Pieces {
  readonly #chunks: AsyncIterator<Buffer>;
  #left: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /** `undefined` if the stream ends before. */
  async take(length: number): Promise<Buffer | undefined> {
    if (length === 0) return Buffer.alloc(0);
    const piece = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    for (;;) {
      const taken = this.#left.copy(piece, filled);
      this.#left = this.#left.subarray(taken);
      filled += taken;
      if (filled === length) return piece;
      const { done, value } = await this.#more();
      if (done) return undefined;
      this.#left = value;
    }
  }

  async #more(): Promise<IteratorResult<Buffer>> {
    try {
      return await this.#chunks.next();
    } catch (cause) {
      throw new ProtocolError('A stream that broke.', { cause });
    }
  }
}
