// The line below an answer: what it took, and a button that copies it.

import { el, formatAgo, formatCount, formatSeconds, plural } from './dom.js';

/** `getText` gives the text to copy. */
export function factsView({ model, totalMs, usage, attempts, createdAt, isForgotten }, getText) {
  const copy = el('button', {
    type: 'button',
    async onclick() {
      await navigator.clipboard.writeText(getText());
      copy.textContent = 'Copied';
      setTimeout(() => {
        copy.textContent = 'Copy';
      }, 1500);
    },
  });
  copy.textContent = 'Copy';
  const facts = [
    model,
    totalMs !== undefined && formatSeconds(totalMs),
    usage && countsOf(usage),
    attempts > 1 && plural(attempts, 'attempt'),
    isForgotten && 'could not be stored',
    createdAt && formatAgo(createdAt),
  ];
  return el(
    'div',
    { className: 'facts' },
    getText() !== '' && copy,
    ...facts.filter(Boolean).map((fact) => el('span', {}, fact)),
  );
}

/** Leaves out what the provider did not count. */
function countsOf({ input, output }) {
  const counts = [
    input !== undefined && `${formatCount(input)} in`,
    output !== undefined && `${formatCount(output)} out`,
  ];
  const known = counts.filter(Boolean).join(', ');
  return known && `tokens: ${known}`;
}
