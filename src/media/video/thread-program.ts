import { createRequire } from 'node:module';
import * as clipReader from './clip-reader.js';
import * as codedUnits from './coded-units.js';
import { type ReaderParts, serveIndexes } from './serve-indexes.js';

/** `?.` as sucrase writes it: a value, then kinds of steps in turn with the functions that take them. */
const optionalChain = (name: string, isAsync: boolean) => `
${isAsync ? 'async ' : ''}function ${name}(steps) {
  let self;
  let value = steps[0];
  for (let at = 1; at < steps.length; at += 2) {
    if (steps[at].startsWith('optional') && value == null) return undefined;
    const [owner, found] = [self, value];
    const isCall = steps[at].endsWith('all');
    self = isCall ? undefined : value;
    value = ${isAsync ? 'await ' : ''}steps[at + 1](isCall ? (...args) => found.call(owner, ...args) : found);
  }
  return value;
}`;

/**
 * What transpilers put in place of newer syntax, and define where the functions came from: `__name` of
 * esbuild, which keeps names, and those of sucrase, through which tsup makes CommonJS.
 */
const helpersOfTranspilers = [
  'const __name = (target) => target;',
  'const _nullishCoalesce = (value, other) => (value == null ? other() : value);',
  'const _asyncNullishCoalesce = async (value, other) => (value == null ? other() : value);',
  optionalChain('_optionalChain', false),
  optionalChain('_asyncOptionalChain', true),
].join('\n');

/** All that the thread which reads indexes runs, as text. */
export function threadProgram(): string {
  const { describeTrack, findNeighbours, findShown, packetsUpTo, writeMatroska } = clipReader;
  const { breakLink, isDisposable, unitFormat, unitHeaders } = codedUnits;
  const parts: ReaderParts = {
    ...{ describeTrack, findNeighbours, findShown, packetsUpTo, writeMatroska },
    ...{ breakLink, isDisposable, unitFormat, unitHeaders },
  };
  const sources = Object.entries(parts).map(([name, part]) => `${name}: ${part.toString()}`);
  const path = createRequire(import.meta.url).resolve('mediabunny');
  return [
    helpersOfTranspilers,
    // mediabunny writes what it finds odd to the console, and what a thread writes keeps the process alive.
    "for (const level of ['warn', 'error']) console[level] = () => undefined;",
    `const parts = {${sources.join(',')}};`,
    "const port = require('node:worker_threads').parentPort;",
    `(${serveIndexes.toString()})(port, require(${JSON.stringify(path)}), parts);`,
  ].join('\n');
}
