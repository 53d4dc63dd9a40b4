import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeClip } from '../support/media-fixtures.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const installMs = 300_000;

let app: string;
let emulator: Awaited<ReturnType<typeof startGeminiEmulator>>;

async function node(...parameters: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [...parameters], {
    cwd: app,
    env: { PATH: process.env.PATH, GEMINI_API_KEY: 'a-key', GOOGLE_GEMINI_BASE_URL: emulator.url },
  });
  return stdout;
}

beforeAll(async () => {
  app = await mkdtemp(join(tmpdir(), 'multimodal-chat-app-'));
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', app], {
    cwd: root,
  });
  const [packed] = JSON.parse(stdout) as [{ filename: string }];
  await writeFile(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true }));
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', packed.filename], { cwd: app });
  await sharp({ create: { width: 64, height: 48, channels: 3, background: 'red' } })
    .jpeg()
    .toFile(join(app, 'photo.jpg'));
  emulator = await startGeminiEmulator();
}, installMs);

afterAll(async () => {
  await emulator?.close();
  await rm(app, { recursive: true, force: true });
});

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
  ])('reads the index of a clip in its thread as %s', async (_, file, load) => {
    await makeClip({ path: join(app, 'clip.mp4'), seconds: 4 });
    const script = `${load}
const said = [];
process.on('worker', (worker) => worker.on('message', ({ error }) => said.push(error ?? 'well')));
const media = new DefaultMediaProcessor({ frames: 4 });
media.prepare('clip.mp4').then(async ({ parts }) => {
  await media.close();
  console.log(JSON.stringify({ said: [...new Set(said)], frames: parts.length }));
});`;
    await writeFile(join(app, file), script);
    expect(JSON.parse(await node(file))).toEqual({ said: ['well'], frames: 4 });
  });

  it.each(['.', './express', './http', './chroma', './redis', './testing'])(
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
