// The message field and its attachments: chosen, dropped or pasted.

import { byId, el, formatBytes, icon } from './dom.js';

const mostFiles = 16;

let attachments = [];

export function kindOf(file) {
  const [kind] = file.type.split('/');
  if (['image', 'video', 'audio'].includes(kind)) return kind;
  if (/\.(mkv|flv|wmv|avi|mpe?g|m4v|mp4|mov|webm)$/i.test(file.name)) return 'video';
  if (/\.(bmp|tiff?|avif|webp|jpe?g|png|gif|heic)$/i.test(file.name)) return 'image';
  return 'document';
}

export function setUpComposer({ maxUploadBytes, onSend, onStop }) {
  const form = byId('composer');
  const prompt = byId('prompt');
  const files = byId('files');

  const say = (sentence) => {
    byId('composer-problem').textContent = sentence ?? '';
    byId('composer-problem').hidden = sentence === undefined;
  };

  const refresh = () => {
    byId('send').disabled = prompt.value.trim() === '';
    // For browsers without `field-sizing`.
    if (!CSS.supports('field-sizing', 'content')) {
      prompt.style.height = 'auto';
      prompt.style.height = `${prompt.scrollHeight}px`;
    }
  };

  function add(chosen) {
    say(undefined);
    const added = [...attachments, ...[...chosen].map(toAttachment)];
    const bytes = added.reduce((sum, { file }) => sum + file.size, 0);
    if (added.length > mostFiles) say(`At most ${mostFiles} files go with one question.`);
    else if (bytes > maxUploadBytes) {
      say(
        `These files are ${formatBytes(bytes)} together; this server takes ${formatBytes(maxUploadBytes)} a question.`,
      );
    } else {
      attachments = added;
      showAttachments();
    }
    prompt.focus();
  }

  function submit() {
    const text = prompt.value.trim();
    if (text === '' || !byId('stop').hidden) return;
    const sent = attachments;
    attachments = [];
    prompt.value = '';
    say(undefined);
    showAttachments();
    refresh();
    onSend(text, sent);
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  prompt.addEventListener('input', refresh);
  prompt.addEventListener('keydown', (event) => {
    const isTouch = matchMedia('(pointer: coarse)').matches;
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && !isTouch) {
      event.preventDefault();
      submit();
    }
  });
  byId('stop').addEventListener('click', onStop);
  byId('attach').addEventListener('click', () => files.click());
  files.addEventListener('change', () => {
    add(files.files);
    files.value = '';
  });
  setUpDrop(add);
  addEventListener('paste', (event) => {
    if (event.clipboardData.files.length === 0) return;
    event.preventDefault();
    add(event.clipboardData.files);
  });
  refresh();

  return {
    /** While an answer arrives, the button stops it. */
    setBusy(busy) {
      const hadFocus = document.activeElement === byId('stop') || document.activeElement === byId('send');
      byId('stop').hidden = !busy;
      byId('send').hidden = busy;
      if (hadFocus) prompt.focus();
    },
    suggest(text, attach) {
      prompt.value = text;
      refresh();
      if (attach) files.click();
      prompt.focus();
    },
  };
}

function toAttachment(file) {
  // Pasted pictures all have the same name, or none.
  const name = file.name || `pasted.${file.type.split('/')[1] ?? 'bin'}`;
  return {
    file: file.name ? file : new File([file], name, { type: file.type }),
    name,
    kind: kindOf(file),
    url: URL.createObjectURL(file),
  };
}

function showAttachments() {
  const list = byId('attachments');
  list.hidden = attachments.length === 0;
  list.replaceChildren(...attachments.map(attachmentView));
}

function attachmentView(attachment) {
  const { file, name, url } = attachment;
  return el(
    'li',
    { className: 'attachment' },
    previewOf(attachment),
    el('div', {}, el('b', { title: name }, name), el('small', {}, formatBytes(file.size))),
    el(
      'button',
      {
        type: 'button',
        className: 'icon',
        'aria-label': `Remove ${name}`,
        onclick() {
          URL.revokeObjectURL(url);
          attachments = attachments.filter((other) => other !== attachment);
          showAttachments();
          byId('prompt').focus();
        },
      },
      icon('close'),
    ),
  );
}

function previewOf({ kind, name, url }) {
  const extension = el(
    'span',
    { className: 'preview' },
    (name.split('.').pop() ?? '').slice(0, 4).toUpperCase(),
  );
  if (kind !== 'image' && kind !== 'video') return extension;
  const preview =
    kind === 'image'
      ? el('img', { className: 'preview', src: url, alt: '' })
      : el('video', {
          className: 'preview',
          src: `${url}#t=0.1`,
          muted: true,
          preload: 'metadata',
          tabIndex: -1,
        });
  preview.addEventListener('error', () => preview.replaceWith(extension), { once: true });
  return preview;
}

function setUpDrop(add) {
  const hint = byId('drop-hint');
  const carriesFiles = (event) => event.dataTransfer?.types.includes('Files');
  addEventListener('dragover', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    hint.hidden = false;
  });
  addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) hint.hidden = true;
  });
  addEventListener('drop', (event) => {
    hint.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    add(event.dataTransfer.files);
  });
}
