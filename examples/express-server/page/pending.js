// Calls of tools that wait for a decision of the user.

import { el } from './dom.js';
import { asText } from './steps.js';

/**
 * One question for each call, with two buttons. `onDecide` gets the decisions, by the id of the call, once all are
 * made; if it returns nothing, they can be made anew. A call whose result the app has to give is only named.
 */
export function pendingView(calls, onDecide) {
  const open = calls.filter(({ needs }) => needs === 'approval');
  const approvals = new Map();
  const buttons = [];
  const decide = (id, isAllowed) => {
    approvals.set(id, isAllowed);
    if (approvals.size < open.length || onDecide(Object.fromEntries(approvals))) return;
    approvals.clear();
    for (const button of buttons) {
      button.disabled = false;
      button.removeAttribute('aria-pressed');
    }
  };
  const items = calls.map((call) => {
    const [item, own] = pendingItem(call, decide);
    buttons.push(...own);
    return item;
  });
  return el('ul', { className: 'pending', 'aria-label': 'Waiting for your decision' }, ...items);
}

function pendingItem({ id, input, name, needs }, decide) {
  if (needs !== 'approval') return [el('li', {}, el('p', {}, `Waiting for the result of ${name}.`)), []];
  const buttons = [
    ['Allow', true],
    ['Deny', false],
  ].map(([label, isAllowed]) =>
    el(
      'button',
      {
        type: 'button',
        className: isAllowed ? 'is-main' : undefined,
        'aria-label': `${label} ${name}`,
        onclick(event) {
          for (const button of buttons) button.disabled = true;
          event.currentTarget.setAttribute('aria-pressed', 'true');
          decide(id, isAllowed);
        },
      },
      label,
    ),
  );
  const item = el(
    'li',
    {},
    el('p', {}, 'May the model call ', el('code', {}, name), '?'),
    el('pre', {}, asText(input ?? {})),
    el('div', { className: 'pending-buttons' }, ...buttons),
  );
  return [item, buttons];
}
