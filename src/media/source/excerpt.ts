import { InvalidInputError, MediaError } from '../../core/errors.js';

/** The requested part of a clip or recording, on the time line of its frame labels. */
export interface Excerpt {
  readonly startMs: number;
  /** Infinity for the end of the clip. */
  readonly endMs: number;
}

/** Where a clip begins and ends, on the same time line. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** @throws InvalidInputError for a part that no clip can have. */
export function checkExcerpt(startMs: number | undefined, endMs: number | undefined): Excerpt | undefined {
  if (startMs === undefined && endMs === undefined) return undefined;
  const excerpt = { startMs: startMs ?? 0, endMs: endMs ?? Number.POSITIVE_INFINITY };
  if (excerpt.startMs >= 0 && excerpt.endMs > excerpt.startMs && excerpt.startMs < Number.POSITIVE_INFINITY)
    return excerpt;
  throw new InvalidInputError(
    `An attachment cannot be shown from ${excerpt.startMs} ms to ${excerpt.endMs} ms: startMs must be 0 or more, and endMs after it.`,
  );
}

/** @throws MediaError `empty` when the clip has nothing there. */
export function cutSpan(span: Span, excerpt: Excerpt | undefined, name: string): Span {
  if (!excerpt) return span;
  const startMs = Math.max(span.startMs, excerpt.startMs);
  const endMs = Math.min(span.endMs, excerpt.endMs);
  if (startMs < endMs) return { startMs, endMs };
  throw new MediaError(
    'empty',
    `"${name}" ends at ${Math.round(span.endMs)} ms, before the part that is asked for. Ask for an earlier startMs.`,
  );
}
