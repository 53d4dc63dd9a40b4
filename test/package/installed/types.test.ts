import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { beforeAll, describe, expect, inject, it } from 'vitest';

const run = promisify(execFile);
const entries = ['', '/express', '/http', '/chroma', '/mcp', '/recall', '/redis', '/testing'];
/** The one that needs a package which this app has not. */
const withoutChroma = entries.filter((entry) => entry !== '/chroma');

/** `any` would take the line after each `@ts-expect-error`. */
const source = (names: readonly string[]) => `
${names.map((entry, at) => `import * as entry${at} from 'multimodal-chat${entry}';`).join('\n')}
import { MultimodalChat, type MediaData, type Reply } from 'multimodal-chat';
import type { Handler } from 'multimodal-chat/http';

type IsAny<T> = 0 extends 1 & T ? true : false;
export const none: [IsAny<MediaData>, IsAny<Reply>, IsAny<Handler>] = [false, false, false];
export const entries = [${names.map((_, at) => `entry${at}`).join()}];
export function ask(chat: MultimodalChat): Promise<Reply> {
  // @ts-expect-error A number is no medium.
  chat.send({ prompt: 'x', media: [42] });
  // @ts-expect-error There is no such option.
  new MultimodalChat({ kyes: [] });
  return chat.send({ prompt: 'x', media: ['clip.mp4', new Uint8Array(2), { data: new Blob([]), startMs: 5 }] });
}
`;

const nodeNext = { module: 'NodeNext' };
const bundler = { module: 'ESNext', moduleResolution: 'Bundler' };
const node10 = { module: 'CommonJS', moduleResolution: 'node' };

/** Compiles the source, as ES module and as CommonJS, and returns what the compiler says. */
async function compile(folder: string, version: string, options: object, names: readonly string[]) {
  const label = `types-${version}-${JSON.stringify(options).replace(/\W+/g, '-')}`;
  const project = join(folder, label);
  await rm(project, { recursive: true, force: true });
  await mkdir(project, { recursive: true });
  const extensions =
    'moduleResolution' in options && options.moduleResolution === 'node' ? ['ts'] : ['mts', 'cts'];
  const files = extensions.map((extension) => `app.${extension}`);
  for (const file of files) await writeFile(join(project, file), source(names));
  const compilerOptions = { strict: true, noEmit: true, skipLibCheck: false, target: 'ES2022', ...options };
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  const compiler = join(inject('fullApp'), `node_modules/typescript-${version}/bin/tsc`);
  return await run(process.execPath, [compiler, '-p', project]).then(
    () => '',
    ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
  );
}

describe('the types, with skipLibCheck: false', () => {
  it.each([
    ['5.9', 'NodeNext', nodeNext],
    ['5.9', 'Bundler', bundler],
    ['5.9', 'node10', node10],
    ['6', 'NodeNext', nodeNext],
    ['6', 'Bundler', bundler],
    ['7', 'NodeNext', nodeNext],
    ['7', 'Bundler', bundler],
  ])('compile under the defaults of TypeScript %s as %s', async (version, _, options) => {
    expect(await compile(inject('bareApp'), version, options, withoutChroma)).toBe('');
  });

  // The newest types of Node do not compile with it, so it has those of Node 20.
  it.each([
    ['NodeNext', nodeNext],
    ['Bundler', bundler],
    ['node10', node10],
  ])('compile with TypeScript 5.0 as %s', async (_, options) => {
    const chosen = { ...options, types: ['node'] };
    expect(await compile(inject('fullApp'), '5.0', chosen, withoutChroma)).toBe('');
  });

  it('compile with chromadb', async () => {
    const options = { ...nodeNext, types: ['node'], skipLibCheck: true };
    expect(await compile(inject('fullApp'), '7', options, entries)).toBe('');
  });
});

describe('an editor', () => {
  let service: ts.LanguageService;
  let program: ts.Program;
  const text = `import { MultimodalChat } from 'multimodal-chat';\nnew MultimodalChat({ model: '' });`;

  beforeAll(() => {
    const file = join(inject('bareApp'), 'editor.mts');
    const declarations = withoutChroma.map((entry) =>
      join(inject('bareApp'), `node_modules/multimodal-chat/dist/${entry.slice(1) || 'index'}.d.ts`),
    );
    const options = { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, strict: true };
    service = ts.createLanguageService({
      getCompilationSettings: () => options,
      getScriptFileNames: () => [file, ...declarations],
      getScriptVersion: () => '1',
      getScriptSnapshot: (name) => {
        const content = name === file ? text : ts.sys.readFile(name);
        return content === undefined ? undefined : ts.ScriptSnapshot.fromString(content);
      },
      getCurrentDirectory: () => inject('bareApp'),
      getDefaultLibFileName: ts.getDefaultLibFilePath,
      fileExists: (name) => name === file || ts.sys.fileExists(name),
      readFile: ts.sys.readFile,
      directoryExists: ts.sys.directoryExists,
    });
    const found = service.getProgram();
    if (!found) throw new Error('The language service has no program.');
    program = found;
  });

  it('completes names of models', () => {
    const file = join(inject('bareApp'), 'editor.mts');
    const completions = service.getCompletionsAtPosition(file, text.indexOf("''") + 1, {});
    const names = completions?.entries.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['gemini-3.8-flash', 'gemini-3.5-flash-lite']));
  });

  it('has a text for every option', () => {
    const checker = program.getTypeChecker();
    const bare: string[] = [];
    let seen = 0;
    const visit = (type: ts.Type, path: string, depth: number) => {
      // Below an option, only objects that are written there; interfaces have texts of their own.
      for (const part of type.isUnion() ? type.types : [type])
        for (const property of depth === 1 || part.symbol?.name === '__type' ? part.getProperties() : []) {
          const declared = property.valueDeclaration ?? property.declarations?.[0];
          // The options of Node and of the DOM are theirs.
          if (!declared?.getSourceFile().fileName.includes('/multimodal-chat/dist/')) continue;
          seen += 1;
          const name = `${path}.${property.name}`;
          const isForbidden = checker.typeToString(checker.getTypeOfSymbol(property)) === 'undefined';
          if (!isForbidden && property.getDocumentationComment(checker).length === 0) bare.push(name);
          if (depth > 0) visit(checker.getTypeOfSymbol(property), name, depth - 1);
        }
    };
    for (const source of program.getSourceFiles()) {
      const symbol = /multimodal-chat\/dist\/[a-z]+\.d\.ts$/.test(source.fileName)
        ? checker.getSymbolAtLocation(source)
        : undefined;
      if (!symbol) continue;
      for (const exported of checker.getExportsOfModule(symbol)) {
        if (!/Options$|^ChatRequest$|^LimitRule$/.test(exported.name)) continue;
        const real = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
        visit(checker.getDeclaredTypeOfSymbol(real), exported.name, 1);
      }
    }
    expect(seen).toBeGreaterThan(150);
    expect(bare).toEqual([]);
  });
});
