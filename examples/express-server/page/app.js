// The page: conversations on the left, messages in the middle, the key pool on the right.

import { ApiError, forgetSession, infer, readFile, readHistory, resume } from './api.js';
import { setUpComposer } from './composer.js';
import { byId, el, load, save } from './dom.js';
import { setUpViewer } from './frames.js';
import { refreshKeys, setUpKeys } from './keys.js';
import { setUpPanels, setUpTheme, showScrim, toggleSidebar } from './panels.js';
import { rememberedAttachment } from './question.js';
import { followLatest, scrollToLatest, setUpScrolling } from './scroll.js';
import {
  dropSession,
  findSession,
  latestSession,
  newSessionId,
  renderSessions,
  touchSession,
} from './sessions.js';
import { setUpToken, withToken } from './token.js';
import { createTurn } from './turn.js';
import { openCalls, readDone, readMediaEvent, readRecalled, readTurn } from './wire.js';

const settings = JSON.parse(byId('page-settings').textContent);

/** One column each, so that an answer goes on while another conversation is shown. */
const conversations = new Map();
let current;

// ---------- Conversations ----------

function openConversation(id) {
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
  if (conversation.isEmpty) byId('messages').scrollTop = 0;
  else scrollToLatest();
  toggleSidebar(false);
  byId('prompt').focus({ preventScroll: true });
}

function showCurrent() {
  byId('title').textContent = findSession(current.id)?.title ?? 'New conversation';
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
    // Only the last turn can still go on.
    const views = turns.map((turn, at) => pastTurnView(turn, conversation, at === turns.length - 1));
    conversation.column.prepend(...views);
    conversation.isEmpty = conversation.column.childElementCount === 0;
  } catch (error) {
    note.replaceWith(problemView(error, () => loadHistory(conversation)));
  }
  if (conversation === current) {
    showCurrent();
    scrollToLatest();
  }
}

const loadFileOf = (sessionId) => (fingerprint) => withToken(() => readFile(sessionId, fingerprint));

function pastTurnView(past, conversation, isLast) {
  const { prompt, reply, media, facts, pieces, turnId, isBrokenOff } = past;
  const attachments = media.map(rememberedAttachment);
  const turn = turnView(conversation, prompt, attachments);
  const pending = isLast ? openCalls(pieces) : [];
  turn.finish({ text: reply, pieces, facts, turnId, pending, isPast: true });
  if (isLast && isBrokenOff && pending.length === 0)
    turn.fail('The answer broke off.', () => goOn(conversation, turn, turnId, {}));
  return turn.element;
}

/** An exchange of the conversation, which can go on once the user has decided about its calls. */
function turnView(conversation, prompt, attachments) {
  const turn = createTurn({
    prompt,
    attachments,
    loadFile: loadFileOf(conversation.id),
    onGrow: () => conversation === current && followLatest(),
    onDecide: (turnId, approvals) => goOn(conversation, turn, turnId, approvals),
  });
  return turn;
}

function problemView(error, onRetry) {
  const view = el('div', { className: 'problem', role: 'alert' }, el('p', {}, sentenceOf(error)));
  const retry = () => {
    view.remove();
    onRetry();
  };
  view.append(el('button', { type: 'button', onclick: retry }, 'Try again'));
  return view;
}

function confirmDeletion(session) {
  const dialog = byId('delete-dialog');
  byId('delete-text').textContent = `“${session.title}” will be removed here and from the server's memory.`;
  dialog.returnValue = '';
  dialog.showModal();
  const onClose = () => dialog.returnValue === 'delete' && deleteSession(session.id);
  dialog.addEventListener('close', onClose, { once: true });
}

async function deleteSession(id) {
  conversations.get(id)?.running?.abort();
  try {
    await withToken(() => forgetSession(id));
  } catch (error) {
    current.column.append(problemView(error, () => deleteSession(id)));
    scrollToLatest();
    return;
  }
  dropSession(id);
  conversations.delete(id);
  if (current.id === id) openConversation(latestSession()?.id ?? newSessionId());
  else showCurrent();
  refreshKeys();
}

// ---------- Asking ----------

function ask(conversation, prompt, attachments) {
  const turn = turnView(conversation, prompt, attachments);
  const askAgain = () => {
    if (conversation.running) return;
    turn.element.remove();
    ask(conversation, prompt, attachments);
    byId('prompt').focus();
  };
  conversation.column.append(turn.element);
  conversation.isEmpty = false;
  touchSession(conversation.id, prompt);
  turn.setStatus(attachments.length > 0 ? 'Sending…' : 'Thinking…');
  const files = attachments.map(({ file }) => file);
  return answerTo(conversation, turn, askAgain, (options) =>
    infer({ prompt, sessionId: conversation.id, files, ...options }),
  );
}

function goOn(conversation, turn, turnId, approvals) {
  if (conversation.running) return undefined;
  turn.goOn();
  const tryAgain = () => goOn(conversation, turn, turnId, approvals);
  return answerTo(conversation, turn, tryAgain, (options) =>
    resume({ sessionId: conversation.id, turnId, approvals, ...options }),
  );
}

/** Shows an answer as it comes; `open` asks for it. */
async function answerTo(conversation, turn, again, open) {
  const controller = new AbortController();
  conversation.running = controller;
  showCurrent();
  scrollToLatest(turn.answer);
  const onEvent = (event, data) => showEvent(turn, event, data);
  try {
    await withToken(() => open({ signal: controller.signal, onEvent }));
  } catch (error) {
    if (controller.signal.aborted) turn.stopped(again);
    else turn.fail(sentenceOf(error), again);
  } finally {
    conversation.running = undefined;
    showCurrent();
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
      turn.restart('The answer broke off and starts again…');
      break;
    case 'done':
      turn.finish(readDone(data));
      break;
    default:
      // Later versions of the server may send events that this page does not know.
      turn.addPiece(event, data);
  }
}

function sentenceOf(error) {
  if (!(error instanceof ApiError)) return `Something went wrong on this page: ${error.message}`;
  const seconds = Math.ceil((error.retryAfterMs ?? 0) / 1000);
  return seconds > 0 && !/\d/.test(error.message)
    ? `${error.message} Try again in ${seconds} s.`
    : error.message;
}

// ---------- Start ----------

if (settings.notice) {
  byId('notice').textContent = settings.notice;
  byId('notice').hidden = false;
}
const composer = setUpComposer({
  maxUploadBytes: settings.maxUploadBytes,
  onSend: (prompt, attachments) => ask(current, prompt, attachments),
  onStop: () => current.running?.abort(),
});
for (const button of document.querySelectorAll('[data-suggestion]')) {
  const { suggestion, attach } = button.dataset;
  button.addEventListener('click', () => composer.suggest(suggestion, attach !== undefined));
}
byId('new-session').addEventListener('click', () => openConversation(newSessionId()));
const keyPanel = setUpKeys({ onToggle: showScrim });
setUpPanels({ closeKeys: keyPanel.close, onEscape: () => current.running?.abort() });
setUpTheme();
setUpToken();
setUpViewer();
setUpScrolling();
// Another tab may have created or deleted a conversation.
addEventListener('storage', showCurrent);
openConversation(load('current', undefined) ?? newSessionId());
refreshKeys();
