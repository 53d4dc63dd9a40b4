import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UploadDirectories } from './upload-directory.js';

let parent: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'uploads-test-'));
});

afterEach(() => rm(parent, { recursive: true, force: true }));

/** The name that a process with this id would have given its directory. */
async function nameFor(pid: number, letters: string): Promise<string> {
  const own = await new UploadDirectories(parent, 1e9).forRequest(report).path();
  await rm(own, { recursive: true });
  return `${basename(own).replace(new RegExp(`${process.pid}-\\w+$`), '')}${pid}-${letters}`;
}

async function leave(name: string): Promise<void> {
  await mkdir(join(parent, name));
  await writeFile(join(parent, name, '0'), 'data');
}

async function endedProcess(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid ?? 0;
}

/** No removal may fail. */
const report = (error: unknown) => {
  throw error;
};

describe('UploadDirectories', () => {
  it('creates a private directory for each request', async () => {
    const directories = new UploadDirectories(parent, 1e9);
    const [one, other] = [directories.forRequest(report), directories.forRequest(report)];
    const [first, second] = await Promise.all([one.path(), other.path()]);
    expect(await one.path()).toBe(first);
    expect(first).not.toBe(second);
    expect((await stat(first)).mode & 0o777).toBe(0o700);
    await writeFile(join(first, '0'), 'data');
    await one.remove();
    expect(await readdir(parent)).toEqual([basename(second)]);
  });

  it('creates nothing before the first file', async () => {
    await new UploadDirectories(parent, 1e9).forRequest(report).remove();
    expect(await readdir(parent)).toEqual([]);
  });

  it('creates a missing parent, and tries again after a failure', async () => {
    const inTheWay = join(parent, 'file');
    await writeFile(inTheWay, '');
    const directories = new UploadDirectories(join(inTheWay, 'uploads'), 1e9);
    const failed = directories.forRequest(report);
    await expect(failed.path()).rejects.toMatchObject({
      name: 'ConfigurationError',
      message: expect.stringMatching(/^Uploads cannot be stored in .*file.uploads \(ENOTDIR.*`tempDir`/),
    });
    await failed.remove();
    await rm(inTheWay);
    expect((await stat(await directories.forRequest(report).path())).isDirectory()).toBe(true);
  });

  it('removes directories of dead processes', async () => {
    await leave(await nameFor(await endedProcess(), 'abcdef'));
    const made = await new UploadDirectories(parent, 1e9).forRequest(report).path();
    expect(await readdir(parent)).toEqual([basename(made)]);
  });

  it('removes directories of an earlier process with the same id', async () => {
    const name = await nameFor(process.pid, 'abcdef');
    await leave(name);
    await utimes(join(parent, name), 1, 1);
    const made = await new UploadDirectories(parent, 1e9).forRequest(report).path();
    expect(await readdir(parent)).toEqual([basename(made)]);
  });

  it('keeps directories that are in use or not its own', async () => {
    const kept = [
      await nameFor(process.ppid, 'abcdef'),
      await nameFor(process.pid, 'abcdef'),
      'somebody-elses',
    ];
    for (const name of kept) await leave(name);
    const made = await new UploadDirectories(parent, 1e9).forRequest(report).path();
    expect((await readdir(parent)).sort()).toEqual([...kept, basename(made)].sort());
  });
});
