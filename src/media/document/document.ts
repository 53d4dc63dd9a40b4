import { MediaError } from '../../core/errors.js';
import { textTokens, tokensPerPdfPage } from '../budget/media-tokens.js';
import type { MediaSettings } from '../media-options.js';
import type { LocalSource } from '../source/source.js';
import type { PreparedContent } from '../work/prepared-parts.js';

/** "Gemini supports up to 1000 pages": https://ai.google.dev/gemini-api/docs/document-processing */
const maxPdfPages = 1000;

/**
 * A document as the model reads it itself: a PDF unchanged, text as UTF-8.
 *
 * @throws MediaError `too-large`, `corrupt`
 */
export async function prepareDocument(
  source: LocalSource,
  mimeType: string,
  settings: Pick<MediaSettings, 'maxInlineBytes'>,
): Promise<PreparedContent> {
  if (source.bytes > settings.maxInlineBytes) {
    const limit = Math.floor(settings.maxInlineBytes / 2 ** 20);
    throw new MediaError(
      'too-large',
      `"${source.name}" has more than ${limit} MiB. Send a smaller document or a part of it.`,
    );
  }
  const data = await source.read();
  const info = { mimeType, bytes: source.bytes };
  if (mimeType === 'application/pdf') {
    const estimatedTokens = checkPdf(data, source.name) * tokensPerPdfPage;
    return { parts: [{ mimeType, data: Uint8Array.from(data) }], estimatedTokens, source: info };
  }
  const text = decodeDocument(data, source.name);
  return {
    parts: [{ mimeType, data: new TextEncoder().encode(text) }],
    estimatedTokens: textTokens(text.length),
    source: info,
  };
}

/** The number of pages, at least 1: page objects inside compressed streams are not seen. */
function checkPdf(data: Uint8Array, name: string): number {
  const content = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1');
  // The trailer is what a download that broke off lacks.
  if (!content.includes('%%EOF')) {
    throw new MediaError('corrupt', `"${name}" is an incomplete PDF. Download or save it again.`);
  }
  if (/\/Encrypt\s+\d+\s+\d+\s+R/.test(content)) {
    throw new MediaError('unsupported', `"${name}" is an encrypted PDF. Save it without a password first.`);
  }
  const objects = content.match(/\/Type\s*\/Page(?![a-zA-Z])/g)?.length ?? 0;
  const counts = [...content.matchAll(/\/Count\s+(\d{1,6})\b/g)].map((match) => Number(match[1]));
  const pages = Math.max(1, objects, ...counts.filter((count) => count <= maxPdfPages * 10));
  if (pages > maxPdfPages) {
    throw new MediaError(
      'too-large',
      `"${name}" has ${pages} pages, and the model reads ${maxPdfPages}. Send a part of it.`,
    );
  }
  return pages;
}

function decodeDocument(data: Uint8Array, name: string): string {
  const encoding =
    data[0] === 0xff && data[1] === 0xfe
      ? 'utf-16le'
      : data[0] === 0xfe && data[1] === 0xff
        ? 'utf-16be'
        : 'utf-8';
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(data);
    if (!text.includes('\0')) return text;
  } catch (cause) {
    throw notText(name, cause);
  }
  throw notText(name);
}

function notText(name: string, cause?: unknown): MediaError {
  return new MediaError('corrupt', `"${name}" is not a text in UTF-8. Save it in that encoding.`, { cause });
}
