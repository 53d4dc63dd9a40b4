import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { drawPicture } from '../support/media-fixtures.js';

let directory: string;
let tempDir: string;
let root: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'paths-'));
  tempDir = join(directory, 'temp');
  root = join(directory, 'root');
  await mkdir(join(root, 'inner'), { recursive: true });
  await mkdir(join(directory, 'root-of-others'));
  const picture = await drawPicture(1).png().toBuffer();
  for (const path of ['root/a.png', 'root/inner/b.png', 'outside.png', 'root-of-others/c.png'])
    await writeFile(join(directory, path), picture);
  await symlink(join(directory, 'outside.png'), join(root, 'link-out.png'));
  await symlink(directory, join(root, 'directory-out'));
  await symlink(join(root, 'a.png'), join(root, 'inner', 'link-in.png'));
  await symlink(root, join(directory, 'alias'));
  await symlink('/dev/zero', join(root, 'zero.png'));
  const makeFifo = 'mkfifo';
  execFileSync(makeFifo, [join(root, 'fifo')]);
  await symlink(join(root, 'fifo'), join(root, 'fifo.png'));
});
afterEach(async () => {
  expect(await readdir(tempDir).catch(() => [])).toEqual([]);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function outcomeOf(
  source: Parameters<DefaultMediaProcessor['prepare']>[0],
  options: { readonly pathRoot?: string; readonly maxBytes?: number } = {},
): Promise<string> {
  const processor = new DefaultMediaProcessor({ tempDir, timeoutMs: 10_000, ...options });
  return processor.prepare(source).then(
    ({ kind }) => kind,
    (error: { name: string; reason: string }) => (error.name === 'MediaError' ? error.reason : String(error)),
  );
}

describe('a root for paths', () => {
  it.each([
    ['a file in it', 'root/a.png', 'image'],
    ['a file further down', 'root/inner/b.png', 'image'],
    ['a link inside it', 'root/inner/link-in.png', 'image'],
    ['a way out and in again', 'root/../root/a.png', 'image'],
    ['another name of the root', 'alias/a.png', 'image'],
    ['a file beside it', 'outside.png', 'not-allowed'],
    ['a directory whose name begins alike', 'root-of-others/c.png', 'not-allowed'],
    ['a link out of it', 'root/link-out.png', 'not-allowed'],
    ['a linked directory', 'root/directory-out/outside.png', 'not-allowed'],
    ['dots', 'root/../outside.png', 'not-allowed'],
    ['the root itself', 'root', 'not-allowed'],
    ['a linked device', 'root/zero.png', 'not-allowed'],
    ['a linked FIFO', 'root/fifo.png', 'not-allowed'],
    ['nothing', 'root/nothing.png', 'not-found'],
  ])('decides about %s', async (_, path, expected) => {
    const full = `${directory}/${path}`;
    expect(await outcomeOf(full, { pathRoot: root })).toBe(expected);
    expect(await outcomeOf(pathToFileURL(full), { pathRoot: root })).toBe(expected);
  });

  it('does not restrict bytes', async () => {
    expect(await outcomeOf(await drawPicture(1).png().toBuffer(), { pathRoot: root })).toBe('image');
  });

  it('may be a link itself, but must be there', async () => {
    expect(await outcomeOf(join(root, 'a.png'), { pathRoot: join(directory, 'alias') })).toBe('image');
    expect(await outcomeOf(join(root, 'a.png'), { pathRoot: join(directory, 'gone') })).toBe('not-allowed');
  });
});

describe('paths of other things than files', () => {
  it.each(['/dev/zero', '/dev/null', '/dev/stdin', '/dev/fd/0', '/dev/tty', '/proc/self', '/'])(
    'refuses %s',
    async (path) => {
      expect(await outcomeOf(path)).toMatch(/^(not-allowed|not-found|empty)$/);
    },
  );

  it.each(['/proc/self/environ', '/proc/self/mem', '/proc/self/maps'])(
    'reveals nothing of %s',
    async (path) => {
      expect(await outcomeOf(path)).toBe('empty');
    },
  );

  it('refuses a socket', async () => {
    const path = join(directory, 'socket');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect(await outcomeOf(path)).toBe('not-allowed');
    await new Promise((resolve) => server.close(resolve));
  });

  it.each(['a\0b.png', '', ' ', '\n', 'x'.repeat(5000)])('answers the name %j', async (path) => {
    expect(await outcomeOf(path)).toMatch(/^(not-allowed|not-found|InvalidInputError.*)$/);
  });
});
