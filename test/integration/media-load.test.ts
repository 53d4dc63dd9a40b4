import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { availableFfmpegs } from '../support/media-fixtures.js';
import { makeUploads, sendAll } from '../support/media-uploads.js';
import { ask, makeServerDirectory, type ServerProcess, startServer } from './server-process.js';

const haveFfmpeg = availableFfmpegs().size > 0;
if (!haveFfmpeg && !process.env.CI)
  console.warn('SKIPPED: many uploads at once. There is no ffmpeg. Run apt install ffmpeg.');

describe.skipIf(!haveFfmpeg && !process.env.CI)('64 uploads at once', () => {
  let directory: Awaited<ReturnType<typeof makeServerDirectory>>;
  let server: ServerProcess;

  beforeAll(async () => {
    directory = await makeServerDirectory();
    server = await startServer(directory.path, { TMPDIR: directory.path });
  });
  afterAll(async () => {
    await server.stop();
    await directory.remove();
  });

  it('are all answered, the broken ones with what is wrong, and nothing is left behind', async () => {
    const uploads = await makeUploads(directory.path, {
      picture: { width: 1000, height: 500 },
      clip: { width: 320, height: 160, fps: 25 },
      ...{ shortSeconds: 1, longSeconds: 30, pdfBytes: 100_000 },
    });
    const answers = await sendAll(server.url, uploads);
    expect(answers).toHaveLength(64);
    expect(answers.filter(({ status, expected }) => status !== expected)).toEqual([]);
    const left = (await readdir(directory.path)).filter((name) => name.startsWith('multimodal-chat-'));
    expect(left).toEqual([]);
    expect(await processesIn(directory.path)).toEqual([]);
    expect(await ask(server, 'Still there?')).not.toBe('');
  }, 240_000);
});

/** Command lines of ffmpeg processes that read from a directory. */
async function processesIn(directory: string): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => line.includes('ffmpeg') && line.includes(directory));
}
