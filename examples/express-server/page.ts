import { readFileSync } from 'node:fs';

const styles = [
  'base',
  'layout',
  'conversations',
  'messages',
  'answer',
  'steps',
  'made',
  'shown',
  'composer',
  'keys',
  'overlays',
  'narrow',
] as const;

const read = (file: string) => readFileSync(new URL(`./page/${file}`, import.meta.url), 'utf8');

const importPattern = /^import\s+(\{[^}]*\})\s+from\s+'\.\/([\w-]+)\.js';$/gm;
const exportPattern = /^export (?=(?:const|class|function|async function) (\w+))/gm;

const scopeOf = (module: string) => `module_${module.replaceAll('-', '_')}`;

/** A module and all its imports as one script, imports first, each in its own scope. */
function bundle(module: string, seen = new Set<string>()): string {
  if (seen.has(module)) return '';
  seen.add(module);
  const source = read(`${module}.js`);
  const imported = [...source.matchAll(importPattern)].map(([, , name = '']) => bundle(name, seen));
  const exported = [...source.matchAll(exportPattern)].map(([, name]) => name);
  const body = source
    .replace(importPattern, (_, names, name) => `const ${names} = ${scopeOf(name)};`)
    .replace(exportPattern, '');
  const scope = `const ${scopeOf(module)} = (() => {\n${body}\nreturn { ${exported.join(', ')} };\n})();\n`;
  return `${imported.join('')}\n${scope}`;
}

export interface PageSettings {
  /** Shown above everything else. */
  readonly notice?: string | undefined;
  /** Total of all files of one question. */
  readonly maxUploadBytes: number;
}

/** Renders the chat page as one HTML document without external resources. */
export function renderPage(settings: PageSettings): string {
  // A `<` could end the script element that holds the settings.
  const json = JSON.stringify(settings).replaceAll('<', '\\u003c');
  return read('index.html')
    .replace('/* inline: styles */', () => styles.map((name) => read(`styles/${name}.css`)).join('\n'))
    .replace('/* inline: app.js */', () => bundle('app'))
    .replace('id="page-settings">{}', () => `id="page-settings">${json}`);
}
