import { mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryError } from '../../core/errors.js';
import type { PreparedMedia } from '../../core/media.js';
import { hostileNames } from '../../testing/contracts/hostile-names.js';
import type { MediaArchive } from '../media-archive.js';
import { DiskMediaArchive } from './disk-media-archive.js';
import { InProcessMediaArchive } from './in-process-media-archive.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'archive-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const mediaOf = (name: string, bytes = 100, change: Partial<PreparedMedia> = {}): PreparedMedia => ({
  kind: 'video',
  name: `${name}.mp4`,
  fingerprint: name,
  estimatedTokens: 560,
  source: { mimeType: 'video/mp4', bytes: 9, durationMs: 1000 },
  parts: [
    { mimeType: 'image/jpeg', data: Buffer.alloc(bytes, name), timestampMs: 500, detail: 'medium' },
    { mimeType: 'audio/mpeg', data: Buffer.from('sound') },
  ],
  ...change,
});

const here = { tenant: 't', sessionId: 's' };
const idsOf = async (archive: MediaArchive, conversation = here) =>
  (await archive.list(conversation)).map(({ fingerprint }) => fingerprint);
const textsOf = async (archive: MediaArchive, conversation = here) => {
  const texts: string[] = [];
  for (const { id } of await archive.list(conversation)) {
    for (const data of (await archive.load(conversation, id)) ?? []) texts.push(Buffer.from(data).toString());
  }
  return texts;
};

describe.each([
  ['DiskMediaArchive', (maxBytes?: number) => new DiskMediaArchive({ directory, maxBytes })],
  ['InProcessMediaArchive', (maxBytes?: number) => new InProcessMediaArchive({ maxBytes })],
])('%s', (_, make) => {
  it('gives back what it was given', async () => {
    const archive = make();
    await archive.keep(here, mediaOf('clip', 3), 1000);
    const [item] = await archive.list(here);
    expect(item).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{40}$/),
      kind: 'video',
      name: 'clip.mp4',
      fingerprint: 'clip',
      estimatedTokens: 560,
      source: { mimeType: 'video/mp4', bytes: 9, durationMs: 1000 },
      parts: [
        expect.objectContaining({ mimeType: 'image/jpeg', timestampMs: 500, detail: 'medium' }),
        expect.objectContaining({ mimeType: 'audio/mpeg' }),
      ],
      firstAt: 1000,
      lastAt: 1000,
    });
    expect(await textsOf(archive)).toEqual(['cli', 'sound']);
    expect(await archive.stats()).toMatchObject({ items: 1 });
  });

  it('knows nothing before anything was kept', async () => {
    const archive = make();
    expect(await archive.list(here)).toEqual([]);
    expect(await archive.load(here, 'abc')).toBeUndefined();
    expect(await archive.load(here, '../../etc/passwd')).toBeUndefined();
    await archive.forget(here);
    expect(await archive.stats()).toEqual({ items: 0, bytes: 0 });
  });

  it('lists in the order of the first coming, and keeps a thing that comes again once', async () => {
    const archive = make();
    await archive.keep(here, mediaOf('one'), 1000);
    await archive.keep(here, mediaOf('two'), 2000);
    await archive.keep(here, mediaOf('one'), 3000);
    expect(
      (await archive.list(here)).map(({ fingerprint, firstAt, lastAt }) => [fingerprint, firstAt, lastAt]),
    ).toEqual([
      ['one', 1000, 3000],
      ['two', 2000, 2000],
    ]);
  });

  it('keeps the same source shown in another way apart', async () => {
    const archive = make();
    const later = { mimeType: 'image/jpeg', data: Buffer.from('later'), timestampMs: 900 };
    await archive.keep(here, mediaOf('clip'), 1000);
    await archive.keep(here, mediaOf('clip', 1, { parts: [later] }), 2000);
    expect(await archive.list(here)).toHaveLength(2);
  });

  it('forgets a conversation, a tenant, and what is older than a date', async () => {
    const archive = make();
    const other = { tenant: 't', sessionId: 'other' };
    const stranger = { tenant: 'u', sessionId: 's' };
    await archive.keep(here, mediaOf('old'), 1000);
    await archive.keep(here, mediaOf('new'), 5000);
    await archive.keep(other, mediaOf('else'), 1000);
    await archive.keep(stranger, mediaOf('strange'), 6000);
    await archive.forget({ before: new Date(5000) });
    expect([await idsOf(archive), await idsOf(archive, other)]).toEqual([['new'], []]);
    await archive.forget(here);
    expect([await idsOf(archive), await idsOf(archive, stranger)]).toEqual([[], ['strange']]);
    await archive.forget({ tenant: 'u' });
    expect(await archive.stats()).toEqual({ items: 0, bytes: 0 });
  });

  it('lets what was attached longest ago go when there is no more room', async () => {
    const archive = make(20_000);
    for (let index = 0; index < 30; index += 1)
      await archive.keep(here, mediaOf(`m${index}`, 1500), 1000 + index);
    const { bytes } = await archive.stats();
    expect(bytes).toBeLessThanOrEqual(20_000);
    const kept = await idsOf(archive);
    expect(kept.length).toBeGreaterThan(5);
    expect(kept).toEqual(
      Array.from({ length: kept.length }, (_unused, index) => `m${30 - kept.length + index}`),
    );
  });

  it('keeps names apart, whatever is in them', async () => {
    const archive = make();
    const conversations = hostileNames().flatMap((name) => [
      { tenant: name, sessionId: 's' },
      { tenant: 't', sessionId: name },
    ]);
    for (const [index, conversation] of conversations.entries()) {
      await archive.keep(conversation, mediaOf(`m${index}`), 1000);
    }
    for (const [index, conversation] of conversations.entries()) {
      expect(await idsOf(archive, conversation)).toEqual([`m${index}`]);
    }
  });

  it('keeps no file that is only named', async () => {
    const archive = make();
    const whole = { mimeType: 'video/mp4', data: new Uint8Array(), path: '/tmp/clip.mp4' };
    await archive.keep(here, mediaOf('clip', 1, { parts: [whole] }), 1000);
    expect(await archive.list(here)).toEqual([]);
  });
});

describe('DiskMediaArchive', () => {
  const files = async () =>
    (await readdir(directory, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));

  it('shows what another instance has kept, and lets nobody else read it', async () => {
    await new DiskMediaArchive({ directory }).keep(here, mediaOf('clip'), 1000);
    expect(await idsOf(new DiskMediaArchive({ directory }))).toEqual(['clip']);
    const [file = ''] = await files();
    expect((await stat(file)).mode & 0o077).toBe(0);
  });

  it('takes a damaged file for none', async () => {
    const archive = new DiskMediaArchive({ directory });
    await archive.keep(here, mediaOf('clip'), 1000);
    const [file = ''] = await files();
    const whole = await readFile(file);
    const [item] = await archive.list(here);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, byte) => {
        const damaged = Buffer.from(whole);
        damaged[at] = byte;
        await writeFile(file, damaged);
        const isDamaged = whole[at] !== byte;
        await archive.list(here);
        expect((await archive.load(here, item?.id ?? '')) === undefined).toBe(isDamaged);
        await truncate(file, at);
        expect(await archive.list(here)).toEqual([]);
        expect(await archive.load(here, item?.id ?? '')).toBeUndefined();
      }),
      { numRuns: 60 },
    );
  });

  it('removes what a killed process left unfinished, once it is old', async () => {
    const archive = new DiskMediaArchive({ directory });
    await archive.keep(here, mediaOf('clip'), 1000);
    const [file = ''] = await files();
    const [stale, fresh] = [`${file}.a.part`, `${file}.b.part`];
    await writeFile(stale, 'half');
    await writeFile(fresh, 'half');
    await utimes(stale, 1, 1);
    await archive.stats();
    expect((await files()).sort()).toEqual([file, fresh].sort());
  });

  it('leaves nothing on disk of what is forgotten', async () => {
    const archive = new DiskMediaArchive({ directory });
    await archive.keep(here, mediaOf('secret-plan'), 1000);
    await archive.forget(here);
    expect(await files()).toEqual([]);
  });

  it('says what to do when its directory cannot be used', async () => {
    await writeFile(join(directory, 'file'), '');
    const archive = new DiskMediaArchive({ directory: join(directory, 'file') });
    const error = await archive.keep(here, mediaOf('clip'), 1000).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(MemoryError);
    expect((error as Error).message).toMatch(/could not be kept \(ENOTDIR\)\. Check that its directory/);
  });
});
