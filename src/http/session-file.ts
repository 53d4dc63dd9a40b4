import type { GeneratedFile } from '../index.js';
import { HttpError } from './http-error.js';
import type { HttpResponse } from './http-messages.js';
import { respond } from './respond.js';

/** Types that a browser shows without running anything. SVG is not one of them: it can hold scripts. */
const shownInline = /^(?:image\/(?:png|jpeg|webp|gif|avif|bmp)|audio\/[\w.+-]+)(?:;|$)/i;

/** A media type, parameters included, that can stand in a header. */
const mediaType = /^[\w.+-]+\/[\w.+-]+(?:; ?[\w.+-]+=[\w.+-]+)*$/;

/**
 * The bytes of a generated file. Its type is what the model said, so nothing in it may run with the rights
 * of a page of this server.
 *
 * @throws HttpError 404 if there is none.
 */
export function respondWithFile(file: GeneratedFile | undefined): HttpResponse {
  if (file === undefined) {
    throw new HttpError(
      404,
      'FILE_NOT_FOUND',
      'The conversation has no such generated file, or its bytes are no longer kept. Ask the model to make it again.',
    );
  }
  const type = mediaType.test(file.mimeType) ? file.mimeType : 'application/octet-stream';
  const disposition = shownInline.test(type) ? 'inline' : 'attachment';
  return respond(file.data, type, {
    headers: {
      'content-disposition': `${disposition}; filename*=UTF-8''${encodeName(file.name)}`,
      'content-security-policy': 'sandbox',
    },
  });
}

/** As RFC 8187 asks. Half a surrogate pair, which cannot be encoded, becomes the replacement character. */
const encodeName = (name: string): string =>
  encodeURIComponent(Buffer.from(name).toString()).replaceAll(
    /['()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
