import type { MediaFormat } from './formats.js';
import { readPart } from './open-file.js';
import { sniffBytes, sniffFormat, sniffTagged } from './sniff.js';
import type { LocalSource } from './source.js';

/** More tags than any program writes; each may be followed by another. */
const maxTags = 8;

/**
 * The format of a source by its bytes. An ID3 tag, which may hold a large picture, is skipped: sound of
 * several formats follows it.
 *
 * @throws MediaError as `sniffFormat` does.
 */
export async function formatOf(source: LocalSource): Promise<MediaFormat> {
  const { data, head, name } = source;
  let [start, sound] = [0, head];
  for (let tags = 0; tags < maxTags; tags += 1) {
    const bytes = tagBytes(sound);
    if (bytes === 0) break;
    start += bytes;
    sound = data
      ? data.subarray(start, start + sniffBytes)
      : await readPart(await source.path(), name, start, sniffBytes);
  }
  return start > 0 ? sniffTagged(sound) : sniffFormat(head, source);
}

/** The bytes of the ID3 tag at the beginning, 0 if there is none. Seven bits of each byte count. */
function tagBytes(head: Uint8Array): number {
  if (head.length < 10 || Buffer.from(head.subarray(0, 3)).toString('latin1') !== 'ID3') return 0;
  const size = head.subarray(6, 10).reduce((all, byte) => all * 128 + (byte & 0x7f), 0);
  const hasFooter = ((head[5] ?? 0) & 0x10) !== 0;
  return size + (hasFooter ? 20 : 10);
}
