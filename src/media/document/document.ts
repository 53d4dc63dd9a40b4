import { MediaError } from '../../core/errors.js';
import { estimateTextTokens } from '../../core/estimate-tokens.js';
import { tokensPerPdfPage } from '../../core/media-tokens.js';
import type { MediaSettings } from '../media-options.js';
import { acceptedAs } from '../model-accepts.js';
import type { LocalSource } from '../source/source.js';
import type { PreparedContent } from '../work/prepared-content.js';
import { countPages } from './pdf-pages.js';
import { opensWithoutPassword } from './pdf-password.js';

type Settings = Pick<MediaSettings, 'accepts' | 'maxInlineBytes'>;

/**
 * A PDF, unchanged: the model reads it itself.
 *
 * @throws MediaError `unsupported`, `too-large`, `corrupt`
 */
export async function preparePdf(
  source: LocalSource,
  mimeType: string,
  { accepts, maxInlineBytes }: Settings,
  signal: AbortSignal,
): Promise<PreparedContent> {
  const { bytes, name } = source;
  if (acceptedAs(accepts, mimeType) === undefined) {
    throw new MediaError(
      'unsupported',
      `"${name}" is a PDF, and this model reads none. Send its text or pictures of its pages, or ask another model.`,
    );
  }
  checkSize(source, maxInlineBytes);
  const data = await source.read();
  const content = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1');
  checkPdf(content, name);
  const pages = await countPages(content, signal);
  const mostPages = accepts?.maxPdfPages ?? Number.POSITIVE_INFINITY;
  if (pages > mostPages) {
    throw new MediaError(
      'too-large',
      `"${name}" has ${pages} pages, and the model reads ${mostPages}. Send a part of it.`,
    );
  }
  return {
    parts: [{ mimeType, data: Uint8Array.from(data) }],
    estimatedTokens: pages * tokensPerPdfPage,
    source: { mimeType, bytes },
  };
}

/**
 * A text document as UTF-8.
 *
 * @throws MediaError `too-large`, `corrupt`
 */
export async function prepareText(
  source: LocalSource,
  mimeType: string,
  { maxInlineBytes }: Settings,
): Promise<PreparedContent> {
  checkSize(source, maxInlineBytes);
  const text = decodeText(await source.read(), source.name);
  return {
    parts: [{ mimeType, data: new TextEncoder().encode(text) }],
    estimatedTokens: estimateTextTokens(text),
    source: { mimeType, bytes: source.bytes },
  };
}

function checkSize({ bytes, name }: LocalSource, maxInlineBytes: number): void {
  if (bytes <= maxInlineBytes) return;
  const limit = Math.floor(maxInlineBytes / 2 ** 20);
  throw new MediaError(
    'too-large',
    `"${name}" has more than ${limit} MiB. Send a smaller document or a part of it.`,
  );
}

/** @throws MediaError `corrupt`, `unsupported` */
function checkPdf(content: string, name: string): void {
  // The trailer is what a download that broke off lacks. Programs open a file whose last line alone is missing.
  if (!content.includes('%%EOF') && !content.includes('startxref')) {
    throw new MediaError('corrupt', `"${name}" is an incomplete PDF. Download or save it again.`);
  }
  if (!opensWithoutPassword(content)) {
    throw new MediaError('unsupported', `"${name}" is an encrypted PDF. Save it without a password first.`);
  }
}

function decodeText(data: Uint8Array, name: string): string {
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
