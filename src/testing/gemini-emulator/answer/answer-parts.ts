import type { WirePart } from '../wire/messages.js';
import type { WireGroundingChunk, WireGroundingMetadata, WireSegment } from '../wire/metadata.js';
import { drawPicture } from './draw-picture.js';
import { makeTone } from './make-tone.js';

/**
 * A generated picture: a PNG whose pattern follows from the description.
 *
 * @param size In pixels. Default 64 × 64.
 */
export function picturePart(
  description: string,
  { width, height }: { readonly width: number; readonly height: number } = { width: 64, height: 64 },
): WirePart {
  const data = drawPicture(description, width, height).toString('base64');
  return { inlineData: { mimeType: 'image/png', data } };
}

/** Generated sound: a WAV file with one tone. Default: 500 ms of 440 Hz. */
export function tonePart({ durationMs = 500, hertz = 440 } = {}): WirePart {
  return { inlineData: { mimeType: 'audio/wav', data: makeTone(durationMs, hertz).toString('base64') } };
}

/** Python that Gemini ran, and what it printed. */
export function codeParts(
  code: string,
  output: string,
  outcome: 'OUTCOME_OK' | 'OUTCOME_FAILED' | 'OUTCOME_DEADLINE_EXCEEDED' = 'OUTCOME_OK',
): readonly WirePart[] {
  return [{ executableCode: { language: 'PYTHON', code } }, { codeExecutionResult: { outcome, output } }];
}

/** A function call by the model. Gemini 3 and later give each an `id`. */
export function callPart(
  name: string,
  args: Readonly<Record<string, unknown>> = {},
  { id }: { readonly id?: string | undefined } = {},
): WirePart {
  return { functionCall: { ...(id !== undefined && { id }), name, args } };
}

/** A source of an answer, and the pieces of its text that the source supports. */
export interface EmulatedSource {
  readonly chunk: WireGroundingChunk;
  readonly supports?: readonly string[] | undefined;
}

/**
 * Grounding metadata of an answer with this text, offsets in bytes as Gemini counts them.
 *
 * @throws RangeError if a supported piece is not in the text.
 */
export function groundingOf(
  text: string,
  sources: readonly EmulatedSource[],
): Required<Pick<WireGroundingMetadata, 'groundingChunks' | 'groundingSupports'>> {
  const indices = new Map<string, number[]>();
  sources.forEach(({ supports = [] }, index) => {
    for (const piece of supports) indices.set(piece, [...(indices.get(piece) ?? []), index]);
  });
  return {
    groundingChunks: sources.map(({ chunk }) => chunk),
    groundingSupports: [...indices].map(([piece, groundingChunkIndices]) => ({
      segment: segmentOf(text, piece),
      groundingChunkIndices,
    })),
  };
}

function segmentOf(text: string, piece: string): WireSegment {
  const at = text.indexOf(piece);
  if (at < 0) throw new RangeError(`The answer does not hold the supported text ${JSON.stringify(piece)}.`);
  const startIndex = Buffer.byteLength(text.slice(0, at));
  const endIndex = startIndex + Buffer.byteLength(piece);
  return { ...(startIndex > 0 && { startIndex }), endIndex, text: piece };
}
