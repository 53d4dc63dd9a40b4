// The list of conversations, kept in this browser; their turns are kept by the server.

import { byId, el, formatAgo, icon, load, save } from './dom.js';

const mostSessions = 200;
const longestTitle = 80;

/** Read every time, since another tab may have changed it. */
const sessions = () => load('sessions', []);

export const newSessionId = () =>
  // randomUUID is missing on pages served over plain HTTP by another machine.
  crypto.randomUUID?.() ??
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );

export const findSession = (id) => sessions().find((session) => session.id === id);

export const latestSession = () => sessions()[0];

/** Moves a conversation to the top; its first question names it. */
export function touchSession(id, prompt) {
  const title = findSession(id)?.title ?? prompt.trim().replace(/\s+/g, ' ').slice(0, longestTitle);
  const others = sessions().filter((session) => session.id !== id);
  save('sessions', [{ id, title, updatedAt: Date.now() }, ...others].slice(0, mostSessions));
}

export function dropSession(id) {
  save(
    'sessions',
    sessions().filter((session) => session.id !== id),
  );
}

export function renderSessions(currentId, { onOpen, onDelete }) {
  const items = sessions().map((session) => {
    const isCurrent = session.id === currentId;
    const open = el(
      'button',
      { type: 'button', className: 'session-open', onclick: () => onOpen(session.id) },
      el('span', {}, session.title),
      el('small', {}, formatAgo(session.updatedAt)),
    );
    if (isCurrent) open.setAttribute('aria-current', 'true');
    return el(
      'li',
      { className: isCurrent ? 'session is-current' : 'session' },
      open,
      el(
        'button',
        {
          type: 'button',
          className: 'icon',
          title: 'Delete',
          'aria-label': `Delete the conversation ${session.title}`,
          onclick: () => onDelete(session),
        },
        icon('bin'),
      ),
    );
  });
  byId('sessions').replaceChildren(...items);
}
