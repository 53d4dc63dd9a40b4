// What the model was shown: frames on a timeline, pictures, sound; and a viewer to look closer.

import { byId, el, formatBytes, formatClock, formatSeconds, icon, plural } from './dom.js';

/** One card for one attachment, as the server prepared it. */
export function shownMedia(media) {
  const frames = media.frames ?? [];
  const card = el('section', { className: 'shown', 'aria-label': `What the model saw of ${media.name}` });
  card.append(
    el(
      'div',
      { className: 'shown-head' },
      el('strong', {}, headline(media, frames)),
      el('span', {}, describeSource(media)),
    ),
  );
  if (media.note) card.append(el('p', { className: 'shown-note' }, media.note));
  const timed = frames.filter((frame) => frame.timestampMs !== undefined);
  const ticks = media.durationMs > 0 && timed.length > 1 ? timeline(media, timed) : undefined;
  if (ticks) card.append(ticks);
  const pictures = frames.filter((frame) => frame.url);
  if (pictures.length > 0) card.append(strip(media, pictures, ticks));
  return card;
}

function headline(media, frames) {
  if (media.kind === 'video') {
    return `Saw ${plural(frames.length, 'frame')}${media.hasSound ? ' and heard the sound' : ''}`;
  }
  if (media.kind === 'audio') return 'Heard the recording';
  if (media.kind === 'document') return 'Read the document';
  return frames.length > 1 ? `Saw ${plural(frames.length, 'picture')}` : 'Saw the picture';
}

function describeSource({ name, width, height, durationMs, bytes }) {
  const facts = [name];
  if (durationMs) facts.push(formatSeconds(durationMs));
  if (width) facts.push(`${width} × ${height}`);
  if (bytes) facts.push(formatBytes(bytes));
  return facts.join(' · ');
}

/** The whole clip as a line, with a mark at the time of each frame. */
function timeline(media, frames) {
  const line = el('div', {
    className: 'timeline',
    role: 'img',
    'aria-label': `Frames at ${frames.map((frame) => formatClock(frame.timestampMs)).join(', ')} of ${formatClock(media.durationMs)}`,
  });
  for (const frame of frames) {
    const mark = el('i', { title: formatClock(frame.timestampMs) });
    mark.style.left = `${Math.min(100, (frame.timestampMs / media.durationMs) * 100)}%`;
    frame.mark = mark;
    line.append(mark);
  }
  return line;
}

/** Aspect ratio, limited so that frames fit side by side. */
function shapeOf({ width, height }) {
  if (!width || !height) return 1.6;
  return Math.min(2.4, Math.max(0.7, width / height));
}

function strip(media, frames, ticks) {
  const row = el('div', { className: 'strip' });
  row.style.setProperty('--ratio', shapeOf(media));
  for (const [index, frame] of frames.entries()) {
    const label = frame.timestampMs === undefined ? `${index + 1}` : formatClock(frame.timestampMs);
    const button = el(
      'button',
      {
        type: 'button',
        className: 'frame',
        'aria-label': `Enlarge ${frame.timestampMs === undefined ? 'picture' : 'the frame at'} ${label}`,
        onclick: () => openViewer(media, frames, index),
      },
      el('img', { src: frame.url, alt: '', loading: 'lazy', decoding: 'async' }),
    );
    if (frame.timestampMs !== undefined || frames.length > 1) button.append(el('span', {}, label));
    if (ticks) {
      const light = (on) => () => frame.mark?.classList.toggle('is-lit', on);
      for (const name of ['pointerenter', 'focus']) button.addEventListener(name, light(true));
      for (const name of ['pointerleave', 'blur']) button.addEventListener(name, light(false));
    }
    row.append(button);
  }
  return row;
}

/** An attachment of an earlier visit, whose frames are no longer in the browser. */
export function fileChip({ kind, name, detail }) {
  return el(
    'li',
    { className: 'file-chip' },
    icon(kind),
    el('span', {}, name),
    detail && el('small', {}, detail),
  );
}

// ---------- Viewer ----------

let viewed = { media: undefined, frames: [], index: 0 };

export function openViewer(media, frames, index) {
  viewed = { media, frames, index };
  showViewed();
  byId('viewer').showModal();
}

function showViewed() {
  const { media, frames, index } = viewed;
  const frame = frames[index];
  const at = frame.timestampMs === undefined ? '' : ` at ${formatClock(frame.timestampMs)}`;
  byId('viewer-image').src = frame.url;
  byId('viewer-image').alt = `${media.name}${at}`;
  byId('viewer-caption').textContent =
    `${media.name}${at}${frames.length > 1 ? ` (${index + 1} of ${frames.length})` : ''}`;
  byId('viewer-previous').hidden = frames.length < 2;
  byId('viewer-next').hidden = frames.length < 2;
}

function step(by) {
  const { length } = viewed.frames;
  viewed.index = (viewed.index + by + length) % length;
  showViewed();
}

export function setUpViewer() {
  const viewer = byId('viewer');
  byId('viewer-previous').addEventListener('click', () => step(-1));
  byId('viewer-next').addEventListener('click', () => step(1));
  byId('viewer-close').addEventListener('click', () => viewer.close());
  viewer.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowLeft') step(-1);
    if (event.key === 'ArrowRight') step(1);
  });
  viewer.addEventListener('click', (event) => {
    // The dialog itself is the target of clicks beside the picture.
    if (event.target === viewer) viewer.close();
  });
}
