// Screen reader output while an answer arrives.

import { byId, el } from './dom.js';

/** Speaks whole sentences to screen readers while the answer is still being written. */
export function createAnnouncer() {
  let said = 0;
  const announcer = byId('announcer');
  const say = (text) => {
    if (text.trim() !== '') announcer.append(el('p', {}, text));
    while (announcer.children.length > 30) announcer.firstElementChild.remove();
  };
  return {
    say,
    follow(text, isWhole) {
      const fresh = text.slice(said);
      const end = isWhole
        ? text.length
        : Math.max(...['. ', '! ', '? ', '\n'].map((mark) => fresh.lastIndexOf(mark) + 1)) + said;
      if (end <= said) return;
      say(text.slice(said, end));
      said = end;
    },
    restart() {
      said = 0;
      say('The answer starts again.');
    },
  };
}
