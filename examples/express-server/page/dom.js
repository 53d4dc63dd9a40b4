// Helpers that every part of the page uses.

export const byId = (id) => document.getElementById(id);

/** Creates an element; `on…` properties are listeners, the rest are properties or attributes. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== 'object') node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== false));
  return node;
}

const iconPaths = {
  close: 'M6 6l12 12M18 6L6 18',
  bin: 'M5 7h14M10 11v6M14 11v6M6.5 7l.8 12h9.4l.8-12M9.5 7V4.5h5V7',
  video: 'M4 6h11v12H4zM15 10.5l5-3v9l-5-3',
  image: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4',
  audio: 'M4 10v4M8 7v10M12 4v16M16 8v8M20 10.5v3',
  document: 'M7 3h7l4 4v14H7zM14 3v4h4M10 12h5M10 16h5',
};

/** A line drawing, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', iconPaths[name] ?? iconPaths.document);
  svg.append(path);
  return svg;
}

/** 83 400 ms -> `1:23.4` */
export function formatClock(ms) {
  const tenths = Math.round(ms / 100);
  const seconds = (tenths / 10) % 60;
  const minutes = Math.floor(tenths / 600) % 60;
  const hours = Math.floor(tenths / 36_000);
  const tail = seconds.toFixed(1).padStart(4, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`;
}

export function formatBytes(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 999_500) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1_000_000).toFixed(bytes < 9_950_000 ? 1 : 0)} MB`;
}

export const formatSeconds = (ms) => `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;

export const formatCount = (count) => new Intl.NumberFormat('en').format(count);

export const plural = (count, one, many = `${one}s`) => `${formatCount(count)} ${count === 1 ? one : many}`;

/** `just now`, `5 min ago`, `3 h ago`, then the date. */
export function formatAgo(timeMs, nowMs = Date.now()) {
  const minutes = Math.floor((nowMs - timeMs) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return formatDate(timeMs);
}

export const formatDate = (timeMs) =>
  new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' }).format(timeMs);

/** Copies of what this page saved, in case storage is disabled or full. */
const saved = new Map();

/** Reads what was saved earlier, also by another tab. */
export function load(key, fallback) {
  try {
    const text = localStorage.getItem(`multimodal-chat.${key}`);
    if (text !== null) return JSON.parse(text);
  } catch {
    // Fall back to this page's own copy.
  }
  return saved.get(key) ?? fallback;
}

export function save(key, value) {
  saved.set(key, value);
  try {
    localStorage.setItem(`multimodal-chat.${key}`, JSON.stringify(value));
  } catch {
    // Without storage the page works, but forgets when it is closed.
  }
}
