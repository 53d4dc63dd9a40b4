import { readFileSync } from 'node:fs';
import ts from 'typescript';

/** A block of JavaScript or TypeScript in the README. */
export interface ReadmeBlock {
  readonly language: 'js' | 'ts';
  readonly code: string;
  /** The heading above it and the line of the README, to find it by. */
  readonly name: string;
}

export const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

export const readmeBlocks: readonly ReadmeBlock[] = Array.from(
  readme.matchAll(/^```(js|ts)\n(.*?)^```$/gms),
  ({ index, 1: language, 2: code = '' }): ReadmeBlock => {
    const above = readme.slice(0, index);
    const heading = [...above.matchAll(/^#+ (.*)$/gm)].at(-1)?.[1] ?? '';
    const name = `${heading}, line ${above.split('\n').length}`;
    return { language: language === 'js' ? 'js' : 'ts', code, name };
  },
);

/** The one block that holds a text. */
export function readmeBlockWith(text: string): ReadmeBlock {
  const found = readmeBlocks.filter(({ code }) => code.includes(text));
  if (found[0] === undefined || found.length > 1)
    throw new Error(`${found.length} blocks of the README hold ${JSON.stringify(text)}; one should.`);
  return found[0];
}

/** The port that the servers of the README listen at. */
export const readmePort = '3000';

/** The JavaScript of a block, which listens at another port if it is a server. */
export function programOf({ code }: ReadmeBlock, port: number | string): string {
  const compilerOptions: ts.CompilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    experimentalDecorators: true,
  };
  return ts.transpileModule(code.replaceAll(readmePort, String(port)), { compilerOptions }).outputText;
}
