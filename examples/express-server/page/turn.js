// One exchange: the question, what the model was shown, and the answer as it arrives.

import { createAnnouncer } from './announcer.js';
import { el, formatAgo, plural } from './dom.js';
import { factsView } from './facts.js';
import { shownMedia } from './frames.js';
import { madeFile } from './made-files.js';
import { createMarkdownView } from './markdown-view.js';
import { pendingView } from './pending.js';
import { addPiece, noPieces } from './pieces.js';
import { questionView } from './question.js';
import { codeView, endingView, searchesView, sourcesView, toolsView } from './steps.js';

const stageNames = {
  queued: 'Waiting to look at',
  reading: 'Receiving',
  probing: 'Looking into',
  decoding: 'Picking frames from',
  encoding: 'Preparing',
};

/** Shows the view in place of the one before; a fold that was open stays open. */
function show(place, view) {
  const wasOpen = place.firstElementChild?.open === true;
  place.replaceChildren(...[view].filter(Boolean));
  if (wasOpen && view) view.open = true;
}

/**
 * The view of one exchange. `loadFile` fetches the bytes of a generated file by its fingerprint; `onGrow` is
 * called when the view may have become taller; `onDecide` gets the turn's id and what the user decided about its calls.
 */
export function createTurn({ prompt, attachments, loadFile, onGrow, onDecide }) {
  const question = questionView(prompt, attachments);
  const shown = el('div');
  const recalled = el('div');
  const thoughtsText = el('p');
  const thoughts = el(
    'details',
    { className: 'thoughts', hidden: true },
    el('summary', {}, 'Thoughts'),
    thoughtsText,
  );
  const tools = el('div');
  const code = el('div');
  const status = el('div', { className: 'status' });
  const answer = el('div', { className: 'answer' });
  const files = el('div', { className: 'made-files' });
  const ending = el('div');
  const sources = el('div', { className: 'sources' });
  const searches = el('div');
  const pending = el('div');
  const foot = el('div');
  const element = el(
    'article',
    { className: 'turn' },
    question,
    shown,
    recalled,
    thoughts,
    tools,
    code,
    status,
    answer,
    files,
    ending,
    sources,
    searches,
    pending,
    foot,
  );
  const announcer = createAnnouncer();
  let text = '';
  let drawing = 0;
  let pauseMs = 16;
  const markdown = createMarkdownView(answer);
  let pieces = noPieces();
  /** By fingerprint, so that a file that is shown already is not shown anew. */
  const madeFiles = new Map();

  function draw(isWhole = false) {
    clearTimeout(drawing);
    drawing = 0;
    const startedAt = performance.now();
    markdown.draw(text, isWhole);
    onGrow();
    // Most of the time stays for everything else, however long the last block is.
    pauseMs = Math.max(16, 9 * (performance.now() - startedAt));
  }

  function viewOf(file) {
    const known = madeFiles.get(file.fingerprint);
    const view = known ?? madeFile(file, { load: loadFile, onGrow });
    madeFiles.set(file.fingerprint, view);
    return view;
  }

  const drawPieces = {
    files: () => files.replaceChildren(...pieces.files.map(viewOf)),
    code: () => show(code, codeView(pieces.code)),
    tools: () => show(tools, toolsView(pieces.tools)),
    sources: () => show(sources, sourcesView(pieces.sources)),
    searches: () => show(searches, searchesView(pieces.searches)),
    ending: () => show(ending, endingView(pieces.ending)),
  };

  function setPieces(changed) {
    pieces = changed;
    for (const drawList of Object.values(drawPieces)) drawList();
    onGrow();
  }

  function setStatus(sentence, fraction) {
    status.replaceChildren();
    if (sentence !== undefined) {
      status.append(el('span', { className: 'pulse' }), el('span', {}, sentence));
      if (fraction !== undefined)
        status.append(el('progress', { max: 1, value: fraction, 'aria-label': sentence }));
    }
    status.hidden = sentence === undefined;
    onGrow();
  }

  function endAnswer() {
    draw(true);
    answer.classList.remove('is-streaming');
    setStatus(undefined);
  }

  function showPending(turnId, calls) {
    const view = calls.length > 0 && pendingView(calls, (approvals) => onDecide(turnId, approvals));
    pending.replaceChildren(...[view].filter(Boolean));
  }

  return {
    element,
    answer,
    setStatus,

    showProgress({ name, stage, fraction }) {
      if (stage === 'ready') setStatus('Thinking…');
      else setStatus(`${stageNames[stage] ?? 'Preparing'} ${name}…`, fraction);
    },

    showMedia(index, media) {
      const card = shownMedia(media);
      card.dataset.index = index;
      // Attachments become ready in any order; they are shown in the order of the question.
      const later = [...shown.children].find((other) => Number(other.dataset.index) > index);
      shown.insertBefore(card, later ?? null);
      onGrow();
    },

    showRecalled(turns) {
      if (turns.length === 0) return;
      const items = turns.map((turn) =>
        el(
          'li',
          {},
          el('time', { dateTime: new Date(turn.createdAt).toISOString() }, formatAgo(turn.createdAt)),
          el('q', {}, turn.prompt),
          el('p', {}, turn.reply),
        ),
      );
      recalled.replaceChildren(
        el(
          'details',
          { className: 'recalled' },
          el('summary', {}, `Remembered ${plural(turns.length, 'earlier exchange')}`),
          el('ol', { className: 'recalled-list' }, ...items),
        ),
      );
      onGrow();
    },

    addThought(piece) {
      thoughtsText.append(piece);
      thoughts.hidden = false;
      onGrow();
    },

    addText(piece) {
      if (text === '') setStatus(undefined);
      text += piece;
      answer.classList.add('is-streaming');
      announcer.follow(text, false);
      drawing ||= setTimeout(draw, pauseMs);
    },

    /** Adds a file, code, a tool call or a source, as an event names it. */
    addPiece(type, data) {
      const changed = addPiece(pieces, type, data);
      if (changed === undefined) return;
      drawPieces[changed]();
      onGrow();
    },

    /** After the user's decision the answer comes again from its beginning. */
    goOn() {
      showPending(undefined, []);
      foot.replaceChildren();
      this.restart('Going on…');
    },

    restart(sentence) {
      text = '';
      madeFiles.clear();
      setPieces(noPieces());
      announcer.restart();
      thoughtsText.replaceChildren();
      thoughts.hidden = true;
      draw();
      setStatus(sentence);
    },

    /** `facts` say what it took: model, milliseconds, tokens. An answer of the past is not read out. */
    finish({ text: whole, pieces: all, facts, turnId, pending: calls = [], isPast = false }) {
      text = whole;
      if (!isPast) {
        announcer.follow(text, true);
        for (const { name } of all.files) announcer.say(`The model made ${name}.`);
        announcer.say(all.ending ?? '');
      }
      endAnswer();
      setPieces(all);
      showPending(turnId, calls);
      if (!isPast && calls.length > 0) announcer.say('The answer waits for your decision.');
      foot.replaceChildren(factsView(facts, () => text));
      onGrow();
    },

    fail(sentence, onRetry) {
      announcer.say(sentence);
      endAnswer();
      foot.replaceChildren(
        el(
          'div',
          { className: 'problem' },
          el('p', {}, sentence),
          onRetry && el('button', { type: 'button', onclick: onRetry }, 'Try again'),
        ),
      );
      onGrow();
    },

    stopped(onRetry) {
      endAnswer();
      foot.replaceChildren(
        el(
          'div',
          { className: 'problem is-mild' },
          el('p', {}, 'Stopped. This exchange is not remembered.'),
          el('button', { type: 'button', onclick: onRetry }, 'Ask again'),
        ),
      );
      onGrow();
    },
  };
}
