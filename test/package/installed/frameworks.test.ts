import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, inject, it } from 'vitest';
import { programOf, readmeBlockWith, readmePort } from '../../support/readme.js';
import { answeredAll, askAll, environment, freePort, startServer } from './apps.js';

const run = promisify(execFile);
const app = inject('fullApp');

/** A recipe of the README as JavaScript. */
const recipe = (holding: string, port: number | string) => programOf(readmeBlockWith(holding), port);

/** Runs a tool of the app, without a key, as CI does. Returns all that it prints. */
async function build(...command: readonly [string, ...string[]]): Promise<string> {
  const [file, ...parameters] = command;
  const { stderr, stdout } = await run(process.execPath, [join(app, 'node_modules', file), ...parameters], {
    cwd: app,
    env: environment(false),
  });
  return stdout + stderr;
}

async function answersOf(file: string, port: number) {
  await using server = await startServer([process.execPath, file], { cwd: app, port });
  return await askAll(server);
}

describe('a recipe of the README answers text, picture and clip', () => {
  it.each([
    ['Express 4', 'express().use('],
    ['Hono', "from 'hono'"],
    ['Fastify', "from 'fastify'"],
    ['NestJS', 'NestFactory'],
    ['node:http', 'createServer(nodeListener'],
  ])('in %s', async (name, holding) => {
    const port = await freePort();
    const file = join(app, `${name.replace(/\W/g, '-')}.mjs`);
    await writeFile(file, recipe(holding, port));
    expect(await answersOf(file, port)).toEqual(answeredAll);
  });
});

describe('a bundle without configuration answers text, picture and clip', () => {
  /** Writes the source of the app and a configuration file of the bundler. */
  async function prepare(name: string, config = ''): Promise<{ folder: string; port: number }> {
    const folder = join(app, name);
    const port = await freePort();
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'server.mjs'), recipe('createServer(nodeListener', port));
    await writeFile(join(folder, 'config.mjs'), config);
    return { folder, port };
  }

  it.each([
    ['esm', 'mjs', []],
    ['esm', 'mjs', ['--minify']],
    ['cjs', 'cjs', []],
    ['cjs', 'cjs', ['--minify']],
  ])('of esbuild as %s (%s) %j', async (format, extension, options) => {
    const { folder, port } = await prepare('esbuild');
    const file = join(folder, `out.${extension}`);
    const bundle = ['--bundle', '--platform=node', `--format=${format}`, `--outfile=${file}`, ...options];
    await run(join(app, 'node_modules/.bin/esbuild'), [join(folder, 'server.mjs'), ...bundle]);
    expect(await answersOf(file, port)).toEqual(answeredAll);
  });

  it('of Rollup', async () => {
    const plugins = 'resolve({ exportConditions: ["node"], preferBuiltins: true }), commonjs(), json()';
    const { folder, port } = await prepare(
      'rollup',
      `import commonjs from '@rollup/plugin-commonjs'; import json from '@rollup/plugin-json';
       import resolve from '@rollup/plugin-node-resolve';
       export default { input: 'rollup/server.mjs', output: { dir: 'rollup/out', entryFileNames: '[name].mjs' },
         plugins: [${plugins}] };`,
    );
    await build('rollup/dist/bin/rollup', '--config', join(folder, 'config.mjs'));
    expect(await answersOf(join(folder, 'out/server.mjs'), port)).toEqual(answeredAll);
  });

  it.each(['undefined', 'true'])('of Vite SSR with noExternal: %s', async (noExternal) => {
    const { folder, port } = await prepare(
      'vite',
      `export default { build: { ssr: 'vite/server.mjs', outDir: 'vite/out', emptyOutDir: true },
         ssr: { noExternal: ${noExternal} } };`,
    );
    await build('vite/bin/vite.js', 'build', '--config', join(folder, 'config.mjs'));
    expect(await answersOf(join(folder, 'out/server.mjs'), port)).toEqual(answeredAll);
  });

  it('of webpack', async () => {
    const { folder, port } = await prepare('webpack');
    const config = {
      ...{ target: 'node20', mode: 'production', context: app, entry: './webpack/server.mjs' },
      output: { path: join(folder, 'out'), filename: 'server.cjs' },
    };
    await writeFile(
      join(folder, 'build.cjs'),
      `require('webpack')(${JSON.stringify(config)}, (error, stats) => {
         const { errors, warnings } = stats?.toJson({ all: false, errors: true, warnings: true }) ?? {};
         console.log(JSON.stringify({ error, errors, warnings }));
       });`,
    );
    const built = await run(process.execPath, [join(folder, 'build.cjs')], { cwd: app });
    const { errors, warnings } = JSON.parse(built.stdout) as Record<string, { moduleName?: string }[]>;
    expect(errors).toEqual([]);
    expect(warnings?.filter(({ moduleName }) => moduleName?.includes('/multimodal-chat/'))).toEqual([]);
    expect(await answersOf(join(folder, 'out/server.cjs'), port)).toEqual(answeredAll);
  });

  it('says what to install where the bundle runs without node_modules', async () => {
    const { folder } = await prepare('lonely');
    const source = `import { MultimodalChat } from 'multimodal-chat';
      const chat = new MultimodalChat({ memory: false });
      chat.send({ prompt: 'x', media: ['${join(app, 'clip.mp4')}'] }).catch(({ name, message }) => {
        console.log(JSON.stringify({ name, message }));
      });`;
    await writeFile(join(folder, 'server.mjs'), source);
    const away = join(app, '..', 'lonely');
    await mkdir(away, { recursive: true });
    const bundle = ['--bundle', '--platform=node', '--format=cjs', `--outfile=${join(away, 'out.cjs')}`];
    await run(join(app, 'node_modules/.bin/esbuild'), [join(folder, 'server.mjs'), ...bundle]);
    const { stdout } = await run(process.execPath, ['out.cjs'], { cwd: away, env: environment() });
    expect(JSON.parse(stdout)).toEqual({
      name: 'MediaError',
      message: expect.stringMatching(/npm install (sharp|fluent-ffmpeg)/),
    });
  });
});

describe('Next.js without configuration and without a key at build time', () => {
  const folder = join(app, 'next');
  const next = 'next/dist/bin/next';

  async function prepare(): Promise<void> {
    const route = join(folder, 'app/api/[[...path]]');
    await rm(folder, { recursive: true, force: true });
    await mkdir(route, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{ "name": "next-app", "private": true }');
    await writeFile(
      join(folder, 'app/layout.jsx'),
      'export default ({ children }) => <html><body>{children}</body></html>;',
    );
    await writeFile(join(folder, 'app/page.jsx'), 'export default () => <p>Hello</p>;');
    await writeFile(join(route, 'route.js'), recipe('export const GET', readmePort));
  }

  async function served(command: 'start' | 'dev') {
    const port = await freePort();
    const parameters = [join(app, 'node_modules', next), command, '-p', String(port)] as const;
    await using server = await startServer([process.execPath, ...parameters], { cwd: folder, port });
    return await askAll(server);
  }

  it.each(['--turbopack', '--webpack'])('builds and serves with %s', async (bundler) => {
    await prepare();
    const output = await build(next, 'build', bundler, folder);
    expect(output).not.toMatch(/multimodal-chat/);
    expect(await served('start')).toEqual(answeredAll);
  });

  it('serves in development', async () => {
    await prepare();
    expect(await served('dev')).toEqual(answeredAll);
  });
});
