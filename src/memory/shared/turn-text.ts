import type { Turn } from '../../core/turn.js';

/** The text of a turn that is indexed and embedded: prompt, reply and the names of the attachments. */
export function turnText(turn: Pick<Turn, 'prompt' | 'reply' | 'media'>): string {
  const names = turn.media?.map((media) => media.name) ?? [];
  return [turn.prompt, turn.reply, ...names].filter((text) => text !== '').join('\n');
}
