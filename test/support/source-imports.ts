import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../../src', import.meta.url));

/** One import of `src`; paths are relative to `src`. */
export interface Import {
  readonly from: string;
  /** A file of `src`, or the name of a package. */
  readonly to: string;
  /** Erased by the compiler, so that nothing is loaded. */
  readonly isType: boolean;
  /** `import()`, on first use. */
  readonly isDynamic: boolean;
}

const staticImport = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;
const dynamicImport = /(typeof\s+)?\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

/** The imports of one file, given its text. */
export function importsOfText(from: string, text: string): Import[] {
  const target = (specifier: string) =>
    specifier.startsWith('.')
      ? relative(source, resolve(source, dirname(from), specifier)).replace(/\.js$/, '.ts')
      : specifier;
  const found: Import[] = [];
  for (const [, type, specifier = ''] of text.matchAll(staticImport)) {
    found.push({ from, to: target(specifier), isType: type !== undefined, isDynamic: false });
  }
  for (const [, type, specifier = ''] of text.matchAll(dynamicImport)) {
    found.push({ from, to: target(specifier), isType: type !== undefined, isDynamic: true });
  }
  return found;
}

/** Every file of `src` that is not a test. */
export function sourceFiles(): readonly string[] {
  return readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .sort();
}

export const readSource = (file: string) => readFileSync(join(source, file), 'utf8');

export const isOurs = (file: string) => file.endsWith('.ts');
