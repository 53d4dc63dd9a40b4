// The page: conversations on the left, messages in the middle, the key pool on the right.

import { ApiError, forgetSession, infer, readHistory, setToken } from './api.js';
import { setUpComposer } from './composer.js';
import { byId, el, load, save } from './dom.js';
import { setUpViewer } from './frames.js';
import { refreshKeys, setUpKeys } from './keys.js';
import {
  dropSession,
  findSession,
  latestSession,
  newSessionId,
  renderSessions,
  touchSession,
} from './sessions.js';
import { createTurn, rememberedAttachment } from './turn.js';
import { readDone, readMediaEvent, readRecalled, readTurn } from './wire.js';

const settings = JSON.parse(byId('page-settings').textContent);

/** One conversation each, so that an answer goes on coming in while another is looked at. */
const conversations = new Map();
let current;

// ---------- Conversations ----------

function openConversation(id, { focus = true } = {}) {
  let conversation = conversations.get(id);
  if (!conversation) {
    conversation = { id, column: el('div', { className: 'column' }), running: undefined, isEmpty: true };
    conversations.set(id, conversation);
    if (findSession(id)) loadHistory(conversation);
  }
  current?.column.remove();
  current = conversation;
  byId('messages').append(conversation.column);
  save('current', id);
  showCurrent();
  scrollToLatest();
  closeSidebar();
  if (focus) byId('prompt').focus({ preventScroll: true });
}

function showCurrent() {
  const title = findSession(current.id)?.title ?? 'New conversation';
  byId('title').textContent = title;
  byId('welcome').hidden = !current.isEmpty;
  composer.setBusy(current.running !== undefined);
  renderSessions(current.id, { onOpen: openConversation, onDelete: confirmDeletion });
}

async function loadHistory(conversation) {
  conversation.isEmpty = false;
  const note = el('p', { className: 'status' }, 'Loading the conversation…');
  conversation.column.append(note);
  try {
    const turns = (await withToken(() => readHistory(conversation.id))).map(readTurn);
    note.remove();
    conversation.column.prepend(
      ...turns.map((past) => {
        const turn = createTurn({
          prompt: past.prompt,
          attachments: past.media.map(rememberedAttachment),
          onGrow() {},
        });
        turn.finish({ text: past.reply, facts: past.facts, isPast: true });
        return turn.element;
      }),
    );
    conversation.isEmpty = conversation.column.childElementCount === 0;
  } catch (error) {
    note.replaceWith(problemView(error, () => loadHistory(conversation)));
  }
  if (conversation === current) {
    showCurrent();
    scrollToLatest();
  }
}

function problemView(error, onRetry) {
  const view = el('div', { className: 'problem', role: 'alert' }, el('p', {}, sentenceOf(error)));
  view.append(
    el(
      'button',
      {
        type: 'button',
        onclick() {
          view.remove();
          onRetry();
        },
      },
      'Try again',
    ),
  );
  return view;
}

function confirmDeletion(session) {
  const dialog = byId('delete-dialog');
  byId('delete-text').textContent = `“${session.title}” will be removed here and from the server's memory.`;
  dialog.returnValue = '';
  dialog.showModal();
  dialog.addEventListener('close', () => dialog.returnValue === 'delete' && deleteSession(session.id), {
    once: true,
  });
}

async function deleteSession(id) {
  conversations.get(id)?.running?.abort();
  try {
    await withToken(() => forgetSession(id));
  } catch (error) {
    if (error.status !== 404) {
      current.column.append(problemView(error, () => deleteSession(id)));
      scrollToLatest();
      return;
    }
  }
  dropSession(id);
  conversations.delete(id);
  if (current.id === id) openConversation(latestSession()?.id ?? newSessionId());
  else showCurrent();
}

// ---------- Asking ----------

async function ask(conversation, prompt, attachments) {
  const controller = new AbortController();
  const turn = createTurn({ prompt, attachments, onGrow: () => conversation === current && followLatest() });
  const again = () => {
    if (conversation.running) return;
    turn.element.remove();
    ask(conversation, prompt, attachments);
  };
  conversation.column.append(turn.element);
  conversation.isEmpty = false;
  conversation.running = controller;
  touchSession(conversation.id, prompt);
  if (conversation === current) showCurrent();
  turn.setStatus(attachments.length > 0 ? 'Sending…' : 'Thinking…');
  scrollToLatest();
  try {
    await withToken(() =>
      infer({
        prompt,
        sessionId: conversation.id,
        files: attachments.map(({ file }) => file),
        signal: controller.signal,
        onEvent: (event, data) => showEvent(turn, event, data),
      }),
    );
  } catch (error) {
    if (controller.signal.aborted) turn.stopped(again);
    else turn.fail(sentenceOf(error), again);
  } finally {
    conversation.running = undefined;
    if (conversation === current) showCurrent();
    refreshKeys();
  }
}

function showEvent(turn, event, data) {
  switch (event) {
    case 'media': {
      const { index, progress, media } = readMediaEvent(data);
      turn.showProgress(progress);
      if (media) turn.showMedia(index, media);
      break;
    }
    case 'recall':
      turn.setStatus('Thinking…');
      turn.showRecalled(readRecalled(data));
      break;
    case 'thought':
      turn.addThought(data.text);
      break;
    case 'text':
      turn.addText(data.text);
      break;
    case 'restart':
      turn.restart('The answer broke off; it begins anew…');
      break;
    case 'done':
      turn.finish(readDone(data));
      break;
    default:
    // Later servers may say more; what they say is not needed here.
  }
}

function sentenceOf(error) {
  if (!(error instanceof ApiError)) return `Something went wrong on this page: ${error.message}`;
  const seconds = Math.ceil((error.retryAfterMs ?? 0) / 1000);
  return seconds > 0 && !/\b(in|after) \d/.test(error.message)
    ? `${error.message} Try again in ${seconds} s.`
    : error.message;
}

// ---------- Token ----------

let tokenAsked;

/** Runs the call; where the server wants a token, asks for it and runs the call again. */
async function withToken(run) {
  try {
    return await run();
  } catch (error) {
    if (error.status !== 401) throw error;
    tokenAsked ??= askForToken(error.message).finally(() => {
      tokenAsked = undefined;
    });
    if (!(await tokenAsked)) throw error;
    return withToken(run);
  }
}

function askForToken(sentence) {
  const dialog = byId('token-dialog');
  const wasWrong = load('token', '') !== '';
  byId('token-problem').hidden = !wasWrong;
  byId('token-problem').textContent = sentence;
  byId('token').value = '';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      'close',
      () => {
        const given = dialog.returnValue === 'given';
        if (given) setToken(byId('token').value.trim());
        resolve(given);
        if (given) refreshKeys();
      },
      { once: true },
    );
  });
}

byId('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  byId('token-dialog').close('given');
});
byId('token-cancel').addEventListener('click', () => byId('token-dialog').close(''));

// ---------- Scrolling ----------

const messages = byId('messages');
let following = true;

const distanceToEnd = () => messages.scrollHeight - messages.scrollTop - messages.clientHeight;

function scrollToLatest() {
  following = true;
  messages.scrollTop = messages.scrollHeight;
}

/** Stays at the end, unless the reader has scrolled up. */
function followLatest() {
  if (following) messages.scrollTop = messages.scrollHeight;
  byId('to-latest').hidden = following || distanceToEnd() < 80;
}

messages.addEventListener('scroll', () => {
  following = distanceToEnd() < 80;
  byId('to-latest').hidden = following;
});
byId('to-latest').addEventListener('click', scrollToLatest);
addEventListener('resize', followLatest);

// ---------- Panels, appearance, keys ----------

function closeSidebar() {
  byId('sidebar').classList.remove('is-open');
  byId('open-sidebar').setAttribute('aria-expanded', 'false');
  showScrim();
}

function showScrim() {
  const overlaysKeys = !byId('keys').hidden && matchMedia('(max-width: 1100px)').matches;
  byId('scrim').hidden = !overlaysKeys && !byId('sidebar').classList.contains('is-open');
}

byId('open-sidebar').addEventListener('click', () => {
  byId('sidebar').classList.add('is-open');
  byId('open-sidebar').setAttribute('aria-expanded', 'true');
  showScrim();
  byId('new-session').focus();
});
byId('close-sidebar').addEventListener('click', () => {
  closeSidebar();
  byId('open-sidebar').focus();
});
byId('scrim').addEventListener('click', () => {
  closeSidebar();
  keyPanel.close();
});
byId('new-session').addEventListener('click', () => openConversation(newSessionId()));

addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || document.querySelector('dialog[open]')) return;
  if (!byId('scrim').hidden) {
    closeSidebar();
    keyPanel.close();
  } else current.running?.abort();
});

const theme = byId('theme');
const showTheme = () => {
  document.documentElement.style.colorScheme = theme.value;
};
theme.value = load('theme', 'light dark');
theme.addEventListener('change', () => {
  save('theme', theme.value);
  showTheme();
});
showTheme();

for (const button of document.querySelectorAll('[data-suggestion]')) {
  button.addEventListener('click', () =>
    composer.suggest(button.dataset.suggestion, 'attach' in button.dataset),
  );
}

if (settings.notice) {
  byId('notice').textContent = settings.notice;
  byId('notice').hidden = false;
}

const composer = setUpComposer({
  maxUploadBytes: settings.maxUploadBytes ?? Number.POSITIVE_INFINITY,
  onSend: (prompt, attachments) => ask(current, prompt, attachments),
  onStop: () => current.running?.abort(),
});
const keyPanel = setUpKeys({ onOpen: showScrim, onClose: showScrim });
setUpViewer();
openConversation(load('current', undefined) ?? newSessionId());
refreshKeys();
