import { execFile, spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { environment } from './apps.js';

const run = promisify(execFile);
const app = inject('bareApp');

async function node(...parameters: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [...parameters], { cwd: app, env: environment() });
  return stdout;
}

/** Prints how many frames of the clip and of a picture came, what the index worker answered, and every warning. */
const clipScript = (load: string) => `${load}
const [answers, warnings] = [new Set(), []];
process.on('worker', (worker) => worker.on('message', ({ error }) => answers.add(error ?? 'ok')));
process.on('warning', ({ code }) => warnings.push(code));
const media = new DefaultMediaProcessor({ frames: 4 });
Promise.all(['clip.mp4', 'photo.jpg'].map((path) => media.prepare(path))).then(async ([{ parts }, { parts: pictures }]) => {
  await media.close();
  console.log(JSON.stringify({ frames: parts.length, pictures: pictures.length, answers: [...answers], warnings }));
});`;
/** The frames came by way of the packet index and the picture from a process of its own, not by the slow path. */
const indexed = { frames: 4, pictures: 1, answers: ['ok'], warnings: [] };

describe('the packed tarball in an empty folder', () => {
  const quickstart = (load: string, wrap: (body: string) => string) =>
    `${load}\n${wrap(`
const chat = new MultimodalChat();
const reply = await chat.send({ sessionId: 'trip', prompt: 'What is in this picture?', media: ['photo.jpg'] });
console.log(reply.text);
for await (const part of chat.stream({ sessionId: 'trip', prompt: 'And what did I ask before?' }))
  if (part.type === 'text') process.stdout.write(part.text);
await chat.close();`)}\n`;

  it.each([
    ['ESM', 'app.mjs', "import { MultimodalChat } from 'multimodal-chat';", (body: string) => body],
    [
      'CJS',
      'app.cjs',
      "const { MultimodalChat } = require('multimodal-chat');",
      (body: string) => `(async () => {${body}\n})();`,
    ],
  ])('runs the quickstart as %s', async (_, file, load, wrap) => {
    await rm(join(app, '.multimodal-chat'), { recursive: true, force: true });
    await writeFile(join(app, file), quickstart(load, wrap));
    const output = await node(file);
    expect(output).toContain('64×48');
    expect(output).toMatch(/1 earlier turn/);
  });

  it.each([
    ['ESM', 'clip.mjs', "import { DefaultMediaProcessor } from 'multimodal-chat';"],
    ['CJS', 'clip.cjs', "const { DefaultMediaProcessor } = require('multimodal-chat');"],
  ])('reads clips in a worker and pictures in a process as %s', async (_, file, load) => {
    await writeFile(join(app, file), clipScript(load));
    expect(JSON.parse(await node(file))).toEqual(indexed);
  });

  it.each(['.', './express', './http', './chroma', './mcp', './recall', './redis', './testing'])(
    'offers %s to import and to require',
    async (entry) => {
      const name = entry === '.' ? 'multimodal-chat' : `multimodal-chat/${entry.slice(2)}`;
      const imported = await node(
        '--input-type=module',
        '-e',
        `console.log(Object.keys(await import('${name}')).join())`,
      );
      const required = await node('-e', `console.log(Object.keys(require('${name}')).join())`);
      expect(imported.split(',').length).toBeGreaterThan(0);
      expect(required.trim().split(',').sort()).toEqual(imported.trim().split(',').sort());
    },
  );

  it.each(['require', 'await import'])('keeps the names of its classes with %s', async (load) => {
    const lost = await node(
      ...(load === 'require' ? [] : ['--input-type=module']),
      '-e',
      `const all = Object.entries(${load}('multimodal-chat'));
       console.log(all.filter(([name, value]) => typeof value === 'function' && value.name !== name).join());`,
    );
    expect(lost.trim()).toBe('');
  });

  it('shares its classes between entry points', async () => {
    const same = await node(
      '--input-type=module',
      '-e',
      `import { MemoryError } from 'multimodal-chat'; import { ChromaMemoryStore } from 'multimodal-chat/chroma';
       const store = new ChromaMemoryStore({ url: 'http://127.0.0.1:9' });
       const error = await store.recent({ tenant: 't', sessionId: 's' }, { limit: 1 }).catch((e) => e);
       console.log(error instanceof MemoryError, error.name);`,
    );
    expect(same.trim()).toBe('true MemoryError');
  });

  it('loads no heavy module on import', async () => {
    const heavy = [
      '@google/genai',
      'sharp',
      'fluent-ffmpeg',
      '@ffmpeg-installer/ffmpeg',
      'mediabunny',
      'chromadb',
      'libsql',
    ];
    const loaded = await node(
      '-e',
      `require('multimodal-chat'); require('multimodal-chat/express'); require('multimodal-chat/http'); require('multimodal-chat/chroma');
       console.log(Object.keys(require.cache).join('\\n'))`,
    );
    expect(loaded).toContain('multimodal-chat');
    for (const name of heavy) expect(loaded).not.toContain(join('node_modules', name));
  });

  it('carries no test, no source and no secret file', async () => {
    const { files } = JSON.parse(
      await readFile(join(app, 'node_modules/multimodal-chat/package.json'), 'utf8'),
    ) as {
      files: string[];
    };
    expect(files).toEqual(['dist', 'README.md', 'LICENSE']);
  });
});

describe('npx multimodal-chat', () => {
  const command = ['--no-install', 'multimodal-chat'];

  it('starts the emulator, which answers other clients, and stops it', async () => {
    // Not by npx, which does not hand the signal on.
    const program = join(app, 'node_modules/.bin/multimodal-chat');
    const child = spawn(program, ['emulator', '--port', '0'], { cwd: app, env: environment() });
    onTestFinished(() => void child.kill('SIGKILL'));
    const printed = await new Promise<string>((resolve) => {
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.includes('Ctrl+C')) resolve(text);
      });
    });
    const [, url] = /GOOGLE_GEMINI_BASE_URL=(\S+)/.exec(printed) ?? [];
    const response = await fetch(`${url}/v1beta/models/gemini-3.8-flash:generateContent`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'any' },
      body: JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'Hello?' }] }] }),
    });
    expect(await response.text()).toContain('Hello?');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
    await expect(fetch(`${url}/`)).rejects.toThrow();
  });

  it.each([
    [['--help'], 0, 'stdout', /Usage: multimodal-chat emulator/],
    [[], 2, 'stderr', /Unknown command: none.*Usage/s],
    [['emulater'], 2, 'stderr', /Unknown command: emulater.*Usage/s],
    [['emulator', '--prot', '1'], 2, 'stderr', /--prot.*Usage/s],
    [['emulator', '--port', 'x'], 1, 'stderr', /ConfigurationError.*port/],
  ] as const)('with %j exits with %i and says why', async (parameters, code, stream, expected) => {
    const ended = await run('npx', [...command, ...parameters], { cwd: app, env: environment() }).then(
      (written) => ({ ...written, code: 0 }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
    expect(ended.code).toBe(code);
    expect(ended[stream]).toMatch(expected);
  });
});

describe('an app that esbuild made one file of', () => {
  /** What has native code, or has to be where it was installed; the rest is left out by itself. */
  const natives = ['chromadb'];
  const esbuild = createRequire(createRequire(import.meta.url).resolve('tsup')).resolve(
    'esbuild/bin/esbuild',
  );
  const imported = "import { DefaultMediaProcessor } from 'multimodal-chat';";
  const required = "const { DefaultMediaProcessor } = require('multimodal-chat');";

  async function bundle(source: string, load: string, format: string, outfile: string): Promise<void> {
    await writeFile(join(app, source), clipScript(load));
    const options = ['--bundle', '--platform=node', `--format=${format}`, `--outfile=${outfile}`];
    const external = natives.map((name) => `--external:${name}`);
    await run(esbuild, [source, ...options, ...external, '--log-level=error'], { cwd: app });
  }

  /** A folder elsewhere that has the packages which the bundle lacks, but not this one. */
  async function deploy(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'multimodal-chat-deployed-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await mkdir(join(folder, 'node_modules'));
    for (const name of await readdir(join(app, 'node_modules'))) {
      if (name === 'multimodal-chat' || name.startsWith('.')) continue;
      await symlink(join(app, 'node_modules', name), join(folder, 'node_modules', name));
    }
    return folder;
  }

  it.each([
    ['ESM', imported, 'esm', 'mjs'],
    ['CJS, from require()', required, 'cjs', 'cjs'],
    ['CJS, from import', imported, 'cjs', 'cjs'],
  ])('finds the worker and the process in the installed package: %s', async (_, load, format, extension) => {
    const source = load === imported ? 'source.mjs' : 'source.cjs';
    const outfile = join(app, `bundled.${extension}`);
    await bundle(source, load, format, outfile);
    expect(JSON.parse(await node(outfile))).toEqual(indexed);
  });

  it.each([
    ['ESM', imported, 'esm', 'mjs'],
    ['CJS', required, 'cjs', 'cjs'],
  ])('finds the worker and the process beside itself: %s', async (_, load, format, extension) => {
    const folder = await deploy();
    const outfile = join(folder, `bundled.${extension}`);
    await bundle(`source.${extension}`, load, format, outfile);
    const { warnings, ...slow } = JSON.parse(await node(outfile)) as { warnings: string[] };
    expect(slow).toEqual({ frames: 4, pictures: 1, answers: [] });
    expect(warnings.sort()).toEqual(['MULTIMODAL_CHAT_INDEX_WORKER', 'MULTIMODAL_CHAT_PICTURE_PROCESS']);
    for (const file of ['index-worker.cjs', 'picture-process.cjs'])
      await copyFile(join(app, 'node_modules/multimodal-chat/dist', file), join(folder, file));
    expect(JSON.parse(await node(outfile))).toEqual(indexed);
  });
});
