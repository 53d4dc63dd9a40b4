import type { Turn } from '../../core/turn.js';

/** What of a turn is indexed and embedded: both sides of the exchange and the names of its attachments. */
export function turnText(turn: Pick<Turn, 'prompt' | 'reply' | 'media'>): string {
  const names = turn.media?.map((media) => media.name) ?? [];
  return [turn.prompt, turn.reply, ...names].filter((text) => text !== '').join('\n');
}
