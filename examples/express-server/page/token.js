// Asks for the server's token when a call comes back with 401.

import { hasToken, setToken } from './api.js';
import { byId } from './dom.js';

let asking;

/** Runs the call. If the server requires a token, asks for it and runs the call again. */
export async function withToken(run) {
  try {
    return await run();
  } catch (error) {
    if (error.status !== 401) throw error;
    // Several calls may be refused at once; the user is asked once.
    asking ??= ask(error.message).finally(() => {
      asking = undefined;
    });
    if (!(await asking)) throw error;
    return withToken(run);
  }
}

function ask(sentence) {
  const dialog = byId('token-dialog');
  byId('token-problem').hidden = !hasToken();
  byId('token-problem').textContent = sentence;
  byId('token').value = '';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    const onClose = () => {
      const isGiven = dialog.returnValue === 'given';
      if (isGiven) setToken(byId('token').value.trim());
      resolve(isGiven);
    };
    dialog.addEventListener('close', onClose, { once: true });
  });
}

export function setUpToken() {
  byId('token-form').addEventListener('submit', (event) => {
    event.preventDefault();
    byId('token-dialog').close('given');
  });
  byId('token-cancel').addEventListener('click', () => byId('token-dialog').close(''));
}
