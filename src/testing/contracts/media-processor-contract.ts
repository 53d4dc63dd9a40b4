import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ClosedError, MediaError } from '../../core/errors.js';
import type { MediaProgress } from '../../core/media.js';
import type { MediaProcessor } from '../../media/media-processor.js';
import type { ContractCase } from './contract-case.js';

/** A PNG of 3×2 pixels; every processor of pictures reads PNG. */
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAEElEQVQImWNQ6nCBIAY4CwA3EAWVkNnrRAAAAABJRU5ErkJggg==',
  'base64',
);

/**
 * What every `MediaProcessor` owes. `create` gives a processor of pictures; each case closes its own.
 *
 * @example
 * ```ts
 * for (const { name, run } of mediaProcessorContract(async () => new MyProcessor())) it(name, run);
 * ```
 */
export function mediaProcessorContract(create: () => Promise<MediaProcessor>): readonly ContractCase[] {
  const withProcessor = (
    name: string,
    check: (processor: MediaProcessor) => Promise<void>,
  ): ContractCase => ({
    name,
    async run() {
      const processor = await create();
      try {
        await check(processor);
      } finally {
        await processor.close();
      }
    },
  });
  const refuses = (name: string, data: Uint8Array, fileName: string, reasons: readonly string[]) =>
    withProcessor(name, async (processor) => {
      await assert.rejects(processor.prepare({ data, name: fileName }), (error) => {
        assert.ok(MediaError.isInstance(error), `threw ${String(error)}`);
        assert.ok(reasons.includes(error.reason), `${error.reason}: ${error.message}`);
        return true;
      });
    });

  return [
    withProcessor('turns a picture into parts and describes its source', async (processor) => {
      const media = await processor.prepare({ data: png, name: 'dot.png' });
      assert.equal(media.kind, 'image');
      assert.equal(media.name, 'dot.png');
      assert.equal(media.source.mimeType, 'image/png');
      assert.equal(media.source.bytes, png.length);
      assert.deepEqual([media.source.width, media.source.height], [3, 2]);
      assert.ok(media.estimatedTokens > 0);
      assert.ok(media.parts.length > 0);
      for (const part of media.parts) {
        assert.match(part.mimeType, /^image\//);
        assert.ok(part.data.length > 0);
      }
    }),
    withProcessor('fingerprints the bytes of the source with SHA-256', async (processor) => {
      const media = await processor.prepare({ data: png, name: 'dot.png' });
      assert.equal(media.fingerprint, createHash('sha256').update(png).digest('hex'));
    }),
    withProcessor('goes by the bytes, not by the name or the claimed type', async (processor) => {
      const media = await processor.prepare({ data: png, name: 'clip.mp4', mimeType: 'video/mp4' });
      assert.equal(media.kind, 'image');
      assert.equal(media.source.mimeType, 'image/png');
    }),
    withProcessor('takes bytes in every form', async (processor) => {
      const fingerprints = await Promise.all(
        [
          new Uint8Array(png),
          png.buffer.slice(png.byteOffset, png.byteOffset + png.length) as ArrayBuffer,
          new Blob([png]),
          new Blob([png]).stream(),
        ].map(async (data) => (await processor.prepare({ data })).fingerprint),
      );
      assert.equal(new Set(fingerprints).size, 1);
    }),
    refuses('refuses an empty source', new Uint8Array(0), 'empty.png', ['empty']),
    refuses('refuses text that is named like a clip', Buffer.from('Not a clip at all.\n'), 'clip.mp4', [
      'unsupported',
      'corrupt',
    ]),
    refuses('refuses a picture that breaks off', png.subarray(0, 40), 'broken.png', ['corrupt']),
    refuses(
      'refuses a playlist that points elsewhere',
      Buffer.from('#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/secret.ts\n#EXT-X-ENDLIST\n'),
      'clip.mp4',
      ['unsupported', 'not-allowed', 'corrupt'],
    ),
    withProcessor('refuses a path where nothing is', async (processor) => {
      await assert.rejects(processor.prepare('no-such-folder/no-such-picture.png'), (error) => {
        assert.ok(MediaError.isInstance(error), `threw ${String(error)}`);
        return true;
      });
    }),
    withProcessor('reports progress that never goes back and ends ready', async (processor) => {
      const seen: MediaProgress[] = [];
      await processor.prepare(
        { data: png, name: 'dot.png' },
        { onProgress: (progress) => seen.push(progress) },
      );
      const fractions = seen.map(({ fraction }) => fraction);
      assert.deepEqual(
        fractions,
        [...fractions].sort((a, b) => a - b),
      );
      assert.deepEqual([seen.at(-1)?.stage, seen.at(-1)?.fraction], ['ready', 1]);
    }),
    withProcessor('throws the reason of an abort', async (processor) => {
      const reason = new Error('no longer wanted');
      await assert.rejects(
        processor.prepare({ data: png }, { signal: AbortSignal.abort(reason) }),
        (error) => error === reason,
      );
    }),
    withProcessor(
      'gives only types that the model takes, and no detail without `accepts.detail`',
      async (processor) => {
        const accepts = { inline: ['image/jpeg', 'image/png'] };
        const { parts } = await processor.prepare({ data: png, name: 'dot.png' }, { accepts });
        for (const part of parts) {
          assert.ok(accepts.inline.includes(part.mimeType), part.mimeType);
          assert.equal(part.detail, undefined);
        }
      },
    ),
    withProcessor('throws ClosedError once it is closed', async (processor) => {
      await processor.close();
      await assert.rejects(processor.prepare({ data: png }), ClosedError.isInstance);
    }),
    withProcessor('prepares many at once', async (processor) => {
      const all = await Promise.all(
        Array.from({ length: 20 }, (_, index) => processor.prepare({ data: png, name: `${index}.png` })),
      );
      assert.deepEqual(
        all.map(({ name }) => name),
        all.map((_, index) => `${index}.png`),
      );
    }),
  ];
}
