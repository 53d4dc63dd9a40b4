import type { MediaCapabilities } from '../core/media.js';

/** Types that providers name differently. */
const synonyms: readonly (readonly string[])[] = [
  ['audio/mp3', 'audio/mpeg'],
  ['audio/wav', 'audio/x-wav', 'audio/wave'],
  ['audio/aac', 'audio/x-aac'],
  ['audio/flac', 'audio/x-flac'],
];

/**
 * The name by which a model takes a type inline; `undefined` if it does not. Without capabilities every
 * type is taken by its own name.
 */
export function acceptedAs(accepts: MediaCapabilities | undefined, mimeType: string): string | undefined {
  if (accepts === undefined) return mimeType;
  const names = synonyms.find((group) => group.includes(mimeType)) ?? [mimeType];
  return names.find((name) => accepts.inline.includes(name));
}

/** The type that all pictures and frames are sent as. */
export const pictureType = 'image/jpeg';

export function takesPictures(accepts: MediaCapabilities | undefined): boolean {
  return acceptedAs(accepts, pictureType) !== undefined;
}

/** What decides how an attachment is prepared for a model, as text: the same for models that take the same. */
export function acceptsKey(accepts: MediaCapabilities | undefined): string {
  if (accepts === undefined) return '*';
  return [...[...accepts.inline].sort(), accepts.maxPdfPages ?? ''].join(',');
}
