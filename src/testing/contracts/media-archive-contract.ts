import assert from 'node:assert/strict';
import { ClosedError } from '../../core/errors.js';
import type { PreparedMedia } from '../../core/media.js';
import type { Conversation } from '../../core/turn.js';
import type { MediaArchive } from '../../memory/media-archive.js';
import type { ContractCase } from './contract-case.js';
import { hostileNames } from './hostile-names.js';

const here: Conversation = { tenant: 'tenant', sessionId: 'session' };

/** A clip as a frame of `bytes` bytes and its sound. */
function makeMedia(name: string, bytes = 100, change: Partial<PreparedMedia> = {}): PreparedMedia {
  return {
    kind: 'video',
    name: `${name}.mp4`,
    fingerprint: name,
    estimatedTokens: 560,
    source: { mimeType: 'video/mp4', bytes: 9, durationMs: 1_000 },
    parts: [
      { mimeType: 'image/jpeg', data: Buffer.alloc(bytes, name), timestampMs: 500, detail: 'medium' },
      { mimeType: 'audio/mpeg', data: Buffer.from('sound') },
    ],
    ...change,
  };
}

const fingerprintsOf = async (archive: MediaArchive, of: Conversation = here) =>
  (await archive.list(of)).map(({ fingerprint }) => fingerprint);

/**
 * What every `MediaArchive` owes. `create` gives an archive over empty storage that holds at most
 * `maxBytes`, or any amount if left out; each case closes its own.
 *
 * @example
 * ```ts
 * for (const { name, run } of mediaArchiveContract(async (options) => new MyArchive(options))) it(name, run);
 * ```
 */
export function mediaArchiveContract(
  create: (options: { readonly maxBytes?: number | undefined }) => Promise<MediaArchive>,
): readonly ContractCase[] {
  const withArchive = (
    name: string,
    check: (archive: MediaArchive) => Promise<void>,
    options: { readonly maxBytes?: number } = {},
  ): ContractCase => ({
    name,
    async run() {
      const archive = await create(options);
      try {
        await check(archive);
      } finally {
        await archive.close();
      }
    },
  });

  return [
    withArchive('gives an attachment back as it was kept', async (archive) => {
      const media = makeMedia('clip', 3);
      await archive.keep(here, media, 1_000);
      const [item, ...others] = await archive.list(here);
      assert.ok(item);
      assert.deepEqual(others, []);
      const { id, firstAt, lastAt, parts, ...rest } = item;
      const { parts: keptParts, ...expected } = media;
      assert.deepEqual({ firstAt, lastAt }, { firstAt: 1_000, lastAt: 1_000 });
      assert.deepEqual(rest, expected);
      for (const [at, { data: _, ...part }] of keptParts.entries()) {
        for (const [key, value] of Object.entries(part)) {
          assert.deepEqual(parts[at]?.[key as keyof typeof part], value);
        }
      }
      const data = await archive.load(here, id);
      assert.deepEqual(
        data?.map((each) => Buffer.from(each).toString()),
        ['cli', 'sound'],
      );
      assert.equal((await archive.stats()).items, 1);
    }),

    withArchive('has nothing before anything was kept', async (archive) => {
      assert.deepEqual(await archive.list(here), []);
      for (const id of ['abc', '', '..', '../../etc/passwd', 'a\0']) {
        assert.equal(await archive.load(here, id), undefined);
      }
      await archive.forget(here);
      assert.deepEqual(await archive.stats(), { items: 0, bytes: 0 });
    }),

    withArchive('lists by first attachment, and keeps what comes again once', async (archive) => {
      await archive.keep(here, makeMedia('one'), 1_000);
      await archive.keep(here, makeMedia('two'), 2_000);
      await archive.keep(here, makeMedia('one'), 3_000);
      const dates = (await archive.list(here)).map((item) => [item.fingerprint, item.firstAt, item.lastAt]);
      assert.deepEqual(dates, [
        ['one', 1_000, 3_000],
        ['two', 2_000, 2_000],
      ]);
    }),

    withArchive('keeps a source that was shown in two ways as two attachments', async (archive) => {
      const later = { mimeType: 'image/jpeg', data: Buffer.from('later'), timestampMs: 900 };
      await archive.keep(here, makeMedia('clip'), 1_000);
      await archive.keep(here, makeMedia('clip', 1, { parts: [later] }), 2_000);
      assert.equal((await archive.list(here)).length, 2);
    }),

    withArchive('keeps no attachment whose bytes are in a file of the caller', async (archive) => {
      const whole = { mimeType: 'video/mp4', data: new Uint8Array(), path: '/tmp/clip.mp4' };
      await archive.keep(here, makeMedia('clip', 1, { parts: [whole] }), 1_000);
      assert.deepEqual(await archive.list(here), []);
    }),

    withArchive(
      'forgets a conversation, a tenant, and what was last attached before a date',
      async (archive) => {
        const other = { ...here, sessionId: 'other' };
        const stranger = { ...here, tenant: 'stranger' };
        await archive.keep(here, makeMedia('old'), 1_000);
        await archive.keep(here, makeMedia('again'), 1_000);
        await archive.keep(here, makeMedia('again'), 5_000);
        await archive.keep(other, makeMedia('else'), 1_000);
        await archive.keep(stranger, makeMedia('strange'), 6_000);
        await archive.forget({ before: new Date(5_000) });
        assert.deepEqual(await fingerprintsOf(archive), ['again']);
        assert.deepEqual(await fingerprintsOf(archive, other), []);
        const [item] = await archive.list(here);
        await archive.forget(here);
        assert.deepEqual(await fingerprintsOf(archive), []);
        assert.equal(await archive.load(here, item?.id ?? ''), undefined);
        assert.deepEqual(await fingerprintsOf(archive, stranger), ['strange']);
        await archive.forget({ tenant: 'stranger' });
        assert.deepEqual(await archive.stats(), { items: 0, bytes: 0 });
      },
    ),

    withArchive(
      'drops what was attached longest ago when there is no more room',
      async (archive) => {
        for (let n = 0; n < 30; n++) await archive.keep(here, makeMedia(`m${n}`, 1_500), 1_000 + n);
        assert.ok((await archive.stats()).bytes <= 20_000);
        const kept = await fingerprintsOf(archive);
        assert.ok(kept.length > 5, `only ${kept.length} are left`);
        assert.deepEqual(
          kept,
          kept.map((_, at) => `m${30 - kept.length + at}`),
        );
      },
      { maxBytes: 20_000 },
    ),

    withArchive('keeps hostile names of sessions and tenants apart', async (archive) => {
      const conversations = hostileNames().flatMap((name) => [
        { ...here, tenant: name },
        { ...here, sessionId: name },
      ]);
      for (const [at, of] of conversations.entries()) await archive.keep(of, makeMedia(`m${at}`), 1_000);
      for (const [at, of] of conversations.entries()) {
        const [item, ...others] = await archive.list(of);
        assert.deepEqual([item?.fingerprint, others], [`m${at}`, []]);
        const elsewhere = conversations[(at + 1) % conversations.length] as Conversation;
        assert.equal(await archive.load(elsewhere, item?.id ?? ''), undefined);
      }
    }),

    withArchive('serves many calls at once', async (archive) => {
      const names = Array.from({ length: 20 }, (_, n) => `m${n}`);
      await Promise.all(
        names.flatMap((name, n) => [archive.keep(here, makeMedia(name), n), archive.list(here)]),
      );
      assert.deepEqual(await fingerprintsOf(archive), names);
    }),

    withArchive('throws a ClosedError once it is closed, and closes twice', async (archive) => {
      await archive.keep(here, makeMedia('clip'), 1_000);
      await archive.close();
      await archive.close();
      for (const call of [
        () => archive.keep(here, makeMedia('clip'), 2_000),
        () => archive.list(here),
        () => archive.load(here, 'abc'),
        () => archive.forget(here),
        () => archive.stats(),
      ]) {
        await assert.rejects(
          async () => call(),
          (error) => ClosedError.isInstance(error),
        );
      }
    }),
  ];
}
