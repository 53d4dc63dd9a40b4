import { HttpError } from './http-error.js';
import type { BodyReader } from './http-messages.js';

/**
 * Reads a whole body as UTF-8.
 *
 * @throws HttpError 413 as soon as more than `maxBytes` have arrived.
 */
export async function readBody(body: BodyReader, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let received = 0;
  for (;;) {
    const { done, value } = await body.read();
    if (done || value === undefined) break;
    received += value.byteLength;
    if (received > maxBytes) {
      await body.cancel();
      throw new HttpError(
        413,
        'BODY_TOO_LARGE',
        `The body is larger than ${maxBytes} bytes. Send files as multipart/form-data instead.`,
      );
    }
    chunks.push(value);
  }
  return Buffer.concat(chunks).toString('utf8');
}
