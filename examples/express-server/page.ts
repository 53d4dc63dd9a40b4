import { readFileSync } from 'node:fs';

const read = (file: string) => readFileSync(new URL(`./page/${file}`, import.meta.url), 'utf8');

const importPattern = /^import\s+(?:\{[^}]*\}|\w+)\s+from\s+'\.\/([\w-]+\.js)';\n/gm;

/** A module and everything it imports in one script, imports first. Top-level names must differ. */
function flatten(file: string, seen = new Set<string>()): string {
  if (seen.has(file)) return '';
  seen.add(file);
  const source = read(file);
  const imported = [...source.matchAll(importPattern)].map(([, name = '']) => flatten(name, seen));
  const own = source.replace(importPattern, '').replace(/^export (?=const|let|class|function|async)/gm, '');
  return `${imported.join('')}\n${own}`;
}

export interface PageSettings {
  /** Shown above everything else. */
  readonly notice?: string | undefined;
  /** Of all files of one question together. */
  readonly maxUploadBytes: number;
}

/** The chat page as one HTML document that loads nothing else. */
export function renderPage(settings: PageSettings): string {
  // A `<` could end the script element that carries the settings.
  const json = JSON.stringify(settings).replaceAll('<', '\\u003c');
  return read('index.html')
    .replace('/* inline: style.css */', () => read('style.css'))
    .replace('/* inline: app.js */', () => flatten('app.js'))
    .replace('id="page-settings">{}', () => `id="page-settings">${json}`);
}
