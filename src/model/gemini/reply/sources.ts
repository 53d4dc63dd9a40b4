import type { JsonValue, ProviderMetadata, SourcePart, TextSpan } from '../../../core/message.js';
import { providerName } from '../gemini-parts.js';
import { isObject, type Json, nonEmptyText, objectsIn, withoutAbsent } from '../json.js';

/** A part of the answer as Gemini numbers them: its text, and where that starts in the answer's text. */
export interface AnswerPiece {
  readonly start: number;
  readonly text: string;
}

type Kind = SourcePart['kind'];
type Place = (text: string, pieces: readonly AnswerPiece[]) => TextSpan | undefined;

interface Found {
  readonly source: Omit<SourcePart, 'spans'>;
  readonly places: Place[];
}

/** Fields of a grounding chunk, by the kind of source. */
const kindsByField = { web: 'web', maps: 'map', retrievedContext: 'file', image: 'media' } as const;
/** Fields that a `SourcePart` has, or that hold whole passages. */
const knownFields = new Set(['title', 'uri', 'sourceUri', 'text', 'license', 'startIndex', 'endIndex']);

/**
 * Collects the sources of one answer: grounding, citations and pages that were read. Offsets of Gemini count
 * UTF-8 bytes; they become UTF-16 offsets of the answer's text once all of it is there.
 */
export class SourceCollector {
  readonly #found = new Map<string, Found>();
  #chunks: readonly Json[] = [];

  push(candidate: Json): void {
    if (isObject(candidate.groundingMetadata)) this.#pushGrounding(candidate.groundingMetadata);
    if (isObject(candidate.citationMetadata)) this.#pushCitations(candidate.citationMetadata);
    if (!isObject(candidate.urlContextMetadata)) return;
    for (const { retrievedUrl, urlRetrievalStatus } of objectsIn(candidate.urlContextMetadata.urlMetadata))
      if (/SUCCESS$/.test(String(urlRetrievalStatus))) this.#add('web', { uri: retrievedUrl });
  }

  /** Each source once, with all the text that it supports. */
  read(text: string, pieces: readonly AnswerPiece[]): readonly SourcePart[] {
    return [...this.#found.values()].map(({ source, places }) => {
      const spans = new Map(
        places
          .flatMap((place) => place(text, pieces) ?? [])
          .map((span) => [`${span.start}-${span.end}`, span]),
      );
      return spans.size === 0 ? source : { ...source, spans: [...spans.values()] };
    });
  }

  #pushCitations(metadata: Json): void {
    for (const citation of [...objectsIn(metadata.citationSources), ...objectsIn(metadata.citations)]) {
      const place: Place = (text) => spanIn(text, 0, citation.startIndex, citation.endIndex);
      this.#add('web', citation, citation.endIndex === undefined ? undefined : place);
    }
  }

  #pushGrounding(metadata: Json): void {
    const chunks = objectsIn(metadata.groundingChunks);
    if (chunks.length > 0) this.#chunks = chunks;
    for (const chunk of chunks) this.#addChunk(chunk);
    for (const { groundingChunkIndices, segment } of objectsIn(metadata.groundingSupports)) {
      if (!isObject(segment) || !Array.isArray(groundingChunkIndices)) continue;
      for (const index of groundingChunkIndices) {
        const chunk = this.#chunks[index as number];
        if (chunk) this.#addChunk(chunk, (text, pieces) => placeSegment(segment, text, pieces));
      }
    }
  }

  #addChunk(chunk: Json, place?: Place): void {
    for (const [field, kind] of Object.entries(kindsByField)) {
      const fields = chunk[field];
      if (isObject(fields)) this.#add(kind, fields, place);
    }
  }

  #add(kind: Kind, fields: Json, place?: Place): void {
    const url = nonEmptyText(fields.sourceUri) ?? nonEmptyText(fields.uri) ?? nonEmptyText(fields.imageUri);
    const title = nonEmptyText(fields.title);
    const license = nonEmptyText(fields.license);
    if ((url ?? title ?? license) === undefined) return;
    const key = JSON.stringify([kind, url ?? title, license, fields.pageNumber]);
    const found = this.#found.get(key) ?? {
      source: withoutAbsent({
        type: 'source',
        kind,
        title,
        url,
        license,
        providerMetadata: metadataOf(fields),
      }),
      places: [],
    };
    if (place) found.places.push(place);
    this.#found.set(key, found);
  }
}

/** What else Gemini says about a source: `domain`, `placeId`, `pageNumber`. */
function metadataOf(fields: Json): ProviderMetadata | undefined {
  const others = Object.entries(fields).filter(
    ([name, value]) => !knownFields.has(name) && ['string', 'number'].includes(typeof value),
  );
  return others.length === 0
    ? undefined
    : { [providerName]: Object.fromEntries(others) as Record<string, JsonValue> };
}

/**
 * Where a segment is in the answer's text. Its offsets count from the start of its part, on some streams from
 * the start of the answer: the segment's own text decides.
 */
function placeSegment(
  { endIndex, partIndex = 0, startIndex, text: words }: Json,
  text: string,
  pieces: readonly AnswerPiece[],
): TextSpan | undefined {
  const piece = pieces[partIndex as number];
  const candidates = [
    piece && spanIn(piece.text, piece.start, startIndex, endIndex),
    spanIn(text, 0, startIndex, endIndex),
  ].filter((span) => span !== undefined);
  if (typeof words !== 'string' || words === '') return candidates[0];
  const exact = candidates.find(({ end, start }) => text.slice(start, end) === words);
  if (exact) return exact;
  const start = text.indexOf(words);
  return start === -1 ? undefined : { start, end: start + words.length };
}

/** The UTF-16 range of a range of UTF-8 bytes; undefined if it is empty or outside the text. */
function spanIn(
  text: string,
  offset: number,
  startIndex: unknown = 0,
  endIndex: unknown,
): TextSpan | undefined {
  if (typeof startIndex !== 'number' || typeof endIndex !== 'number') return undefined;
  const bytes = Buffer.from(text);
  if (startIndex < 0 || startIndex >= endIndex || endIndex > bytes.length) return undefined;
  // `stream` leaves a character that the range cuts in half out.
  const lengthOf = (end: number) =>
    new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, end), { stream: true }).length;
  return { start: offset + lengthOf(startIndex), end: offset + lengthOf(endIndex) };
}
