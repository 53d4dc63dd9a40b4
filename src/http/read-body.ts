import { HttpError } from './http-error.js';

/**
 * Reads a small body whole, as UTF-8.
 *
 * @throws HttpError 413 as soon as it is over `maxBytes`.
 */
export async function readBody(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let received = 0;
  // Leaving the loop early cancels the stream.
  for await (const chunk of body) {
    received += chunk.byteLength;
    if (received > maxBytes) {
      throw new HttpError(
        413,
        'BODY_TOO_LARGE',
        `The body is larger than ${maxBytes} bytes. Send files as multipart/form-data instead.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
