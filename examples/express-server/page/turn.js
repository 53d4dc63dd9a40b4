// One exchange: the question, what the model was shown, and the answer as it arrives.

import { createAnnouncer } from './announcer.js';
import { el, formatAgo, formatClock, formatCount, formatSeconds, plural } from './dom.js';
import { fileChip, shownMedia } from './frames.js';
import { renderMarkdown } from './markdown-view.js';
import { filesView, sourcesView, toolsView } from './steps.js';

const stageNames = {
  queued: 'Waiting to look at',
  reading: 'Receiving',
  probing: 'Looking into',
  decoding: 'Picking frames from',
  encoding: 'Preparing',
};

/** The question, with attachments that were just chosen or are on record. */
function questionView(prompt, attachments) {
  const media = attachments.map((attachment) => {
    if (attachment.kind === 'image' && attachment.url) {
      const image = el('img', { src: attachment.url, alt: attachment.name });
      const item = el('li', {}, image);
      // Not every picture that the server reads can be shown by every browser.
      image.addEventListener('error', () => item.replaceWith(fileChip(attachment)), { once: true });
      return item;
    }
    if (attachment.kind === 'video' && attachment.url) {
      const video = el('video', { src: attachment.url, controls: true, muted: true, preload: 'metadata' });
      video.setAttribute('aria-label', attachment.name);
      const item = el('li', {}, video);
      video.addEventListener('error', () => item.replaceWith(fileChip(attachment)), { once: true });
      return item;
    }
    return fileChip(attachment);
  });
  const question = el('div', { className: 'question' });
  if (media.length > 0)
    question.append(el('ul', { className: 'sent-media', 'aria-label': 'Attachments' }, ...media));
  question.append(
    el('div', { className: 'bubble' }, el('span', { className: 'visually-hidden' }, 'You: '), prompt),
  );
  return question;
}

/**
 * The view of one exchange. `onGrow` is called when it may have become taller.
 */
export function createTurn({ prompt, attachments, onGrow }) {
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
  const status = el('div', { className: 'status' });
  const answer = el('div', { className: 'answer' });
  const outcome = el('div');
  const foot = el('div');
  const element = el(
    'article',
    { className: 'turn' },
    question,
    shown,
    recalled,
    thoughts,
    tools,
    status,
    answer,
    outcome,
    foot,
  );
  const announcer = createAnnouncer();
  let text = '';
  let drawing = 0;

  function draw() {
    drawing = 0;
    renderMarkdown(answer, text);
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
    cancelAnimationFrame(drawing);
    draw();
    answer.classList.remove('is-streaming');
    setStatus(undefined);
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
      drawing ||= requestAnimationFrame(draw);
    },

    restart(sentence) {
      text = '';
      announcer.restart();
      thoughtsText.replaceChildren();
      thoughts.hidden = true;
      draw();
      setStatus(sentence);
    },

    /** Shows, folded, what a stored turn holds beside its texts. */
    showSteps(steps) {
      tools.replaceChildren(...[toolsView(steps.tools)].filter(Boolean));
      outcome.replaceChildren(...[filesView(steps.files), sourcesView(steps.sources)].filter(Boolean));
      onGrow();
    },

    /** `facts` say what it took: model, milliseconds, tokens. An answer of the past is not read out. */
    finish({ text: whole, facts, isPast = false }) {
      text = whole;
      if (!isPast) announcer.follow(text, true);
      endAnswer();
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

function factsView({ model, totalMs, usage, attempts, createdAt, isCutOff, isForgotten }, getText) {
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
    usage && `${formatCount(usage.input)} tokens in, ${formatCount(usage.output)} out`,
    attempts > 1 && plural(attempts, 'attempt'),
    isCutOff && 'cut off at the token limit',
    isForgotten && 'could not be stored',
    createdAt && formatAgo(createdAt),
  ];
  return el(
    'div',
    { className: 'facts' },
    copy,
    ...facts.filter(Boolean).map((fact) => el('span', {}, fact)),
  );
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
