// What a stored turn holds beside its texts: tools and their results, files, sources. Folded.

import { el, plural } from './dom.js';
import { fileChip } from './frames.js';
import { safeHref } from './markdown.js';

const asText = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function fold(title, list) {
  return el('details', { className: 'steps' }, el('summary', {}, title), list);
}

function toolItem({ name, input, result }) {
  const item = el('li', {}, el('code', {}, name), el('pre', {}, asText(input ?? {})));
  if (result === undefined) item.append(el('p', {}, 'No result was stored.'));
  else {
    item.append(
      el('p', {}, result.isError ? 'It failed:' : 'Result:'),
      el('pre', {}, asText(result.output ?? null)),
    );
    if (result.media.length > 0) item.append(el('ul', { className: 'files' }, ...result.media.map(fileChip)));
  }
  return item;
}

/** Tool calls with their results, in order; `undefined` if there are none. */
export function toolsView(tools) {
  if (tools.length === 0) return undefined;
  return fold(`Made ${plural(tools.length, 'tool call')}`, el('ol', {}, ...tools.map(toolItem)));
}

/** Files that the model made; `undefined` if there are none. */
export function filesView(files) {
  if (files.length === 0) return undefined;
  return fold(
    `Made ${plural(files.length, 'file')}`,
    el('ul', { className: 'files' }, ...files.map(fileChip)),
  );
}

function sourceItem({ kind, title, url }) {
  const label = title || url || `A ${kind} source`;
  const href = safeHref(url ?? '');
  if (href === undefined) return el('li', {}, label);
  return el('li', {}, el('a', { href, target: '_blank', rel: 'noopener noreferrer' }, label));
}

/** What the answer is based on; `undefined` if nothing is known. */
export function sourcesView(sources) {
  if (sources.length === 0) return undefined;
  return fold(`Based on ${plural(sources.length, 'source')}`, el('ol', {}, ...sources.map(sourceItem)));
}
