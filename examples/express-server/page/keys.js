// The key pool, live from /stats: a summary in the bar, the details in a panel.

import { ApiError, readStats } from './api.js';
import { byId, el, formatAgo, formatCount, formatSeconds, plural } from './dom.js';

const openIntervalMs = 2000;
const closedIntervalMs = 20_000;

let timer = 0;

const isOpen = () => !byId('keys').hidden;

/** Reads the statistics now, and repeatedly while the page is visible. */
export async function refreshKeys() {
  clearTimeout(timer);
  try {
    show(await readStats());
  } catch (error) {
    showProblem(error);
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refreshKeys, isOpen() ? openIntervalMs : closedIntervalMs);
}

function showProblem(error) {
  byId('keys-dot').className = 'dot';
  byId('keys-summary').textContent = 'Keys';
  const sentence = error instanceof ApiError ? error.message : 'The figures could not be read.';
  byId('keys-body').replaceChildren(el('p', { className: 'keys-problem' }, sentence));
}

function show(stats) {
  const keys = Object.entries(stats.api_key_stats ?? {}).map(([id, key]) => ({ id, ...key }));
  const ready = keys.filter((key) => key.state === 'ready').length;
  const state = ready > 0 ? 'ready' : keys.some((key) => key.state === 'cooling') ? 'cooling' : 'disabled';
  byId('keys-dot').className = `dot is-${state}`;
  byId('keys-summary').replaceChildren(
    el('span', { className: 'keys-ready' }, `${ready}/${keys.length}`),
    ` ${keys.length === 1 ? 'key' : 'keys'} ready`,
  );
  if (!isOpen()) return;
  const most = Math.max(1, ...keys.map((key) => key.usage_count));
  byId('keys-body').replaceChildren(
    el(
      'dl',
      { className: 'totals' },
      total('Answered', stats.calls?.succeeded),
      total('Running', stats.calls?.in_flight),
      total('Waiting', stats.queued),
    ),
    el('ul', { 'aria-label': 'Keys' }, ...keys.map((key) => keyView(key, most))),
    footView(stats),
  );
}

function total(label, value) {
  return el('div', {}, el('dt', {}, label), el('dd', {}, value === undefined ? '–' : formatCount(value)));
}

function keyView(key, most) {
  const bar = el('i');
  bar.style.width = `${(key.usage_count / most) * 100}%`;
  const stateName =
    { ready: 'ready', cooling: 'cooling down', disabled: 'switched off' }[key.state] ?? key.state;
  const facts = [
    plural(key.usage_count, 'call'),
    key.failure_count > 0 && plural(key.failure_count, 'failure'),
    key.in_flight > 0 && `${key.in_flight} running`,
    key.last_error && `last error ${formatAgo(key.last_error * 1000)}`,
  ];
  return el(
    'li',
    { className: 'key' },
    el(
      'div',
      { className: 'key-head' },
      el('span', { className: `dot is-${key.state}`, title: stateName }),
      el('code', { title: key.project ? `project ${key.project}` : '' }, key.id),
      el('span', { className: 'visually-hidden' }, stateName),
      key.is_current && el('span', { className: 'tag' }, 'latest'),
    ),
    el('div', { className: 'meter', 'aria-hidden': 'true' }, bar),
    el('div', { className: 'key-facts' }, ...facts.filter(Boolean).map((fact) => el('span', {}, fact))),
    key.state !== 'ready' && stateView(key, stateName),
  );
}

function stateView(key, stateName) {
  const leftMs = key.until ? key.until * 1000 - Date.now() : 0;
  const sentence = key.reason ?? `This key is ${stateName}.`;
  return el(
    'p',
    { className: `key-state is-${key.state}` },
    leftMs > 0 ? `${sentence} Again in ${formatLeft(leftMs)}.` : sentence,
  );
}

const formatLeft = (ms) =>
  ms < 90_000 ? formatSeconds(Math.max(1000, ms)).replace('.0', '') : `${Math.ceil(ms / 60_000)} min`;

function footView({ memory, cache_size: cacheSize }) {
  const facts = [
    memory?.turns !== undefined && `${plural(memory.turns, 'exchange')} remembered`,
    memory?.sessions !== undefined && plural(memory.sessions, 'conversation'),
    cacheSize > 0 && `${plural(cacheSize, 'embedding')} cached`,
  ].filter(Boolean);
  return facts.length > 0 && el('p', { className: 'keys-foot' }, facts.join(' · '));
}

export function setUpKeys({ onToggle }) {
  const toggle = (open) => {
    byId('keys').hidden = !open;
    byId('toggle-keys').setAttribute('aria-expanded', String(open));
    onToggle();
    if (open) refreshKeys();
  };
  byId('toggle-keys').addEventListener('click', () => toggle(!isOpen()));
  byId('close-keys').addEventListener('click', () => {
    toggle(false);
    byId('toggle-keys').focus();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) refreshKeys();
  });
  return { close: () => isOpen() && toggle(false) };
}
