// What an answer is based on: tools and code with their results, sources, searches. Folded, but the searches.

import { el, plural } from './dom.js';
import { fileChip } from './frames.js';

export const asText = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function fold(title, list) {
  return el('details', { className: 'steps' }, el('summary', {}, title), list);
}

function toolItem({ name, input, result }) {
  const item = el('li', {}, el('code', {}, name), el('pre', {}, asText(input ?? {})));
  if (result === undefined) item.append(el('p', {}, 'There is no result.'));
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

const outcomes = { ok: 'Output:', failed: 'It failed:', timeout: 'It took too long:' };

function codeItem({ language, code, result }) {
  const item = el('li', {}, language && el('code', {}, language), el('pre', {}, code));
  if (result) item.append(el('p', {}, outcomes[result.outcome] ?? 'Output:'), el('pre', {}, result.output));
  return item;
}

/** Code that the model ran, with what it printed; `undefined` if there is none. */
export function codeView(code) {
  if (code.length === 0) return undefined;
  return fold(`Ran ${plural(code.length, 'piece')} of code`, el('ol', {}, ...code.map(codeItem)));
}

function sourceItem({ kind, title, url, license }) {
  const label = title || url || `A ${kind} source`;
  const href = safeHref(url ?? '');
  const name =
    href === undefined ? label : el('a', { href, target: '_blank', rel: 'noopener noreferrer' }, label);
  return el('li', {}, name, license && el('small', { className: 'license' }, `License: ${license}`));
}

/** What the answer is based on or quotes; `undefined` if nothing is known. */
export function sourcesView(sources) {
  if (sources.length === 0) return undefined;
  return fold(`Based on ${plural(sources.length, 'source')}`, el('ol', {}, ...sources.map(sourceItem)));
}

/** Opens links in a new tab, outside the frame. */
const suggestionsHead =
  '<!doctype html><meta name="color-scheme" content="light dark"><base target="_blank"><style>body{margin:8px 0}</style>';

function searchView({ html, queries }) {
  if (!html) return el('p', {}, `Searched for ${queries.map((query) => `“${query}”`).join(', ')}`);
  // HTML of the provider, to be shown as it came: without scripts, and unable to reach this page.
  return el('iframe', {
    title: 'Search suggestions',
    sandbox: 'allow-popups allow-popups-to-escape-sandbox',
    srcdoc: suggestionsHead + html,
  });
}

/** Searches that the model made, as its provider wants them shown; `undefined` if there are none. */
export function searchesView(searches) {
  if (searches.length === 0) return undefined;
  return el('div', { className: 'searches' }, ...searches.map(searchView));
}

/** A sentence about an answer that did not end as it should; `undefined` if it did. */
export function endingView(sentence) {
  return sentence && el('p', { className: 'ending', role: 'note' }, sentence);
}

/** Only web addresses: a link may not run code or open a local file. */
function safeHref(target) {
  return /^https?:\/\//i.test(target) && URL.canParse(target) ? new URL(target).href : undefined;
}
