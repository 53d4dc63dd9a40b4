// What the user asked, with its attachments.

import { el, formatClock, plural } from './dom.js';
import { fileChip } from './frames.js';

/** The question, with attachments that were just chosen or are on record. */
export function questionView(prompt, attachments) {
  const media = attachments.map((attachment) => {
    const { kind, name, url } = attachment;
    if (!url || (kind !== 'image' && kind !== 'video')) return fileChip(attachment);
    const shown =
      kind === 'image'
        ? el('img', { src: url, alt: name })
        : el('video', { src: url, controls: true, muted: true, preload: 'metadata', 'aria-label': name });
    const item = el('li', {}, shown);
    // Not every picture or clip that the server reads can be shown by every browser.
    shown.addEventListener('error', () => item.replaceWith(fileChip(attachment)), { once: true });
    return item;
  });
  const question = el('div', { className: 'question' });
  if (media.length > 0)
    question.append(el('ul', { className: 'sent-media', 'aria-label': 'Attachments' }, ...media));
  question.append(
    el('div', { className: 'bubble' }, el('span', { className: 'visually-hidden' }, 'You: '), prompt),
  );
  return question;
}

/** An attachment on record: the times of its frames are known, the frames are not. */
export function rememberedAttachment({ kind, name, frameTimestampsMs = [] }) {
  if (frameTimestampsMs.length < 2) return { kind, name };
  const [first, last] = [frameTimestampsMs[0], frameTimestampsMs.at(-1)];
  return {
    kind,
    name,
    detail: `${plural(frameTimestampsMs.length, 'frame')}, ${formatClock(first)} to ${formatClock(last)}`,
  };
}
