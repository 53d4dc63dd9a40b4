import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const styles = [
  'base',
  'layout',
  'conversations',
  'messages',
  'answer',
  'steps',
  'pending',
  'made',
  'shown',
  'composer',
  'keys',
  'overlays',
  'narrow',
] as const;

const read = (file: string) => readFileSync(new URL(`./page/${file}`, import.meta.url), 'utf8');

/** The Markdown parser and the sanitizer of its HTML, as their packages ship them for browsers. */
function libraries(): string {
  const { resolve } = createRequire(import.meta.url);
  const files = [resolve('markdown-it/browser'), join(resolve('dompurify'), '../purify.min.js')];
  return (
    files
      .map((file) => readFileSync(file, 'utf8').replace(/^\/\/# sourceMappingURL=.*$/m, ''))
      .join('\n')
      // In a script element these would begin a comment, or end the element.
      .replace(/<(?=!--|\/?script)/gi, '\\x3c')
  );
}

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
    .replace('/* inline: libraries */', libraries)
    .replace('/* inline: app.js */', () => bundle('app'))
    .replace('id="page-settings">{}', () => `id="page-settings">${json}`);
}
