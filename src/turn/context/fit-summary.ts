import { estimateTextTokens } from '../../core/estimate-tokens.js';

const sentences = new Intl.Segmenter(undefined, { granularity: 'sentence' });

/** As many whole sentences from the start as fit. */
export function fitSummary(text: string, maxTokens: number): string {
  let fitting = '';
  for (const { segment } of sentences.segment(text)) {
    const longer = fitting + segment;
    if (estimateTextTokens(longer.trimEnd()) > maxTokens) break;
    fitting = longer;
  }
  return fitting.trim();
}

/** Drops the last sentence of a text that was cut off. */
export function dropBrokenSentence(text: string): string {
  const segments = [...sentences.segment(text)].map(({ segment }) => segment);
  return segments.length > 1 ? segments.slice(0, -1).join('').trim() : text.trim();
}
