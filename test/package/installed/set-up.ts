import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import sharp from 'sharp';
import type { TestProject } from 'vitest/node';
import { startGeminiEmulator } from '../../../src/testing.js';
import { makeClip } from '../../support/media-fixtures.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const consumer = fileURLToPath(new URL('../consumer', import.meta.url));
const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder with nothing but the tarball, and media. */
    bareApp: string;
    /** A folder with the tarball, the packages of `test/package/consumer`, and media. */
    fullApp: string;
    emulatorUrl: string;
  }
}

const folder = await mkdtemp(join(tmpdir(), 'multimodal-chat-installed-'));
let emulator: Awaited<ReturnType<typeof startGeminiEmulator>> | undefined;

/** Packs and installs once for all tests of this folder. Not run for the tests of other folders. */
export async function setup({ provide }: TestProject): Promise<void> {
  const bare = join(folder, 'bare');
  const full = join(folder, 'full');
  const media = join(folder, 'media');
  await Promise.all([bare, full, media].map((path) => mkdir(path)));
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: root,
  });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  const tarball = join(folder, filename);

  await writeFile(join(bare, 'package.json'), JSON.stringify({ name: 'app', private: true }));
  await run('npm', ['install', ...quietly, tarball], { cwd: bare });
  await cp(consumer, full, { recursive: true, filter: (path) => !path.includes('node_modules') });
  await run('npm', ['ci', ...quietly], { cwd: full });
  await run('npm', ['install', '--no-save', ...quietly, tarball], { cwd: full });

  await makeMedia(media);
  for (const app of [bare, full]) await cp(media, app, { recursive: true });
  emulator = await startGeminiEmulator({ journal: false });
  provide('bareApp', bare);
  provide('fullApp', full);
  provide('emulatorUrl', emulator.url);
}

export async function teardown(): Promise<void> {
  await emulator?.close();
  await rm(folder, { recursive: true, force: true });
}

/** The files that the README names. */
async function makeMedia(media: string): Promise<void> {
  const photo = sharp({ create: { width: 64, height: 48, channels: 3, background: 'red' } });
  for (const name of ['photo.jpg', 'receipt.jpg']) await photo.jpeg().toFile(join(media, name));
  await photo.png().toFile(join(media, 'sketch.png'));
  const clip = join(media, 'clip.mp4');
  await makeClip({ path: clip, seconds: 4 });
  for (const name of ['clip.mov', 'upload.mkv']) await copyFile(clip, join(media, name));
  await makeClip({ path: join(media, 'talk.mp4'), seconds: 95 });
}
