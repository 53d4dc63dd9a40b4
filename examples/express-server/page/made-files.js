// Pictures and sound that the model made.

import { el, formatBytes } from './dom.js';
import { fileChip, openViewer } from './frames.js';

const nearPixels = 600;

/** Calls `run` once, when the element comes near the view. */
function whenNear(element, run) {
  const observer = new IntersectionObserver(
    ([entry]) => {
      if (!entry.isIntersecting) return;
      observer.disconnect();
      run();
    },
    { rootMargin: `${nearPixels}px` },
  );
  observer.observe(element);
}

function decode(dataUrl) {
  const binary = atob(dataUrl.slice(dataUrl.indexOf(',') + 1));
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/** A URL for the browser. `load` fetches the bytes of a file that did not come with the answer. */
async function urlOf(file, load) {
  const { data, fingerprint, kind, mimeType } = file;
  const bytes = data ? decode(data) : await load(fingerprint);
  // Under its own type, a page that the model made could run when its link is opened.
  const type = kind === 'image' || kind === 'audio' ? mimeType : 'application/octet-stream';
  return URL.createObjectURL(new Blob([bytes], { type }));
}

function contentOf(file, url, onGrow) {
  const { kind, name } = file;
  if (kind === 'audio')
    return el('audio', { src: url, controls: true, preload: 'metadata', 'aria-label': name });
  if (kind !== 'image') return undefined;
  const image = el('img', { src: url, alt: name });
  image.addEventListener('load', onGrow, { once: true });
  return el(
    'button',
    {
      type: 'button',
      className: 'made-picture',
      'aria-label': `Enlarge ${name}`,
      onclick: () => openViewer({ name }, [{ url }], 0),
    },
    image,
  );
}

/** One file: shown if the browser can, with a link to save it. */
export function madeFile(file, { load, onGrow }) {
  const { bytes, kind, name } = file;
  const figure = el('figure', { className: `made is-${kind}` });
  const chip = (detail) => el('ul', { className: 'files' }, fileChip({ kind, name, detail }));
  const caption = (url) =>
    el(
      'figcaption',
      {},
      el('span', {}, name),
      el('span', {}, formatBytes(bytes)),
      el('a', { href: url, download: name, 'aria-label': `Save ${name}` }, 'Save'),
    );
  const show = async () => {
    try {
      const url = await urlOf(file, load);
      const content = contentOf(file, url, onGrow);
      const showChip = () => figure.replaceChildren(chip(), caption(url));
      content?.querySelector('img')?.addEventListener('error', showChip, { once: true });
      figure.replaceChildren(content ?? chip(), caption(url));
    } catch (error) {
      figure.replaceChildren(chip(error.message));
    }
    onGrow();
  };
  if (file.data) show();
  else {
    figure.append(chip('loading…'));
    whenNear(figure, show);
  }
  return figure;
}
