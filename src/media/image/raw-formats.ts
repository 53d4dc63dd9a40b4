import type { MediaFormat } from '../source/formats.js';

/** How raw camera files begin that are no TIFF. The rest (NEF, ARW, DNG, CR2, PEF) is told by its directories. */
const signatures: readonly (readonly [mimeType: string, offset: number, text: string])[] = [
  ['image/x-canon-cr3', 4, 'ftypcrx '],
  ['image/x-canon-crw', 6, 'HEAPCCDR'],
  ['image/x-fuji-raf', 0, 'FUJIFILMCCD-RAW'],
  ['image/x-olympus-orf', 0, 'IIRO'],
  ['image/x-olympus-orf', 0, 'IIRS'],
  ['image/x-olympus-orf', 0, 'MMOR'],
  ['image/x-panasonic-rw2', 0, 'IIU\0'],
  ['image/x-sigma-x3f', 0, 'FOVb'],
  ['image/x-minolta-mrw', 0, '\0MRM'],
];

export const rawMimePattern = new RegExp(`^(${[...new Set(signatures.map(([type]) => type))].join('|')})$`);

/** The format of a raw camera file by its first bytes; `undefined` for any other. */
export function rawPhotoFormat(head: Uint8Array): MediaFormat | undefined {
  const start = Buffer.from(head.subarray(0, 32)).toString('latin1');
  const found = signatures.find(([, offset, text]) => start.startsWith(text, offset));
  return found && { mimeType: found[0], kind: 'image', decoder: 'sharp' };
}
