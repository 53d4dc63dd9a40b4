import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../core/errors.js';
import { DiskMediaArchive } from './archive/disk-media-archive.js';
import { InProcessMediaArchive } from './archive/in-process-media-archive.js';
import { ChromaMemoryStore } from './chroma/chroma-memory-store.js';
import { startChromaServer } from './chroma-server/start-chroma-server.js';
import { EmbeddedMemoryStore } from './embedded/embedded-memory-store.js';
import { withOutbox } from './outbox/with-outbox.js';

/** Each part with what it needs, and values that it refuses. */
const parts: readonly [string, (options: never) => unknown, object, Record<string, readonly unknown[]>][] = [
  [
    'EmbeddedMemoryStore',
    (options) => new EmbeddedMemoryStore(options),
    { path: ':memory:' },
    {
      paht: ['x'],
      path: [undefined, '', '  ', 7],
      embedder: [{}, 'gemini'],
      maxCacheBytes: [0, -1, 1.5, '1'],
      queryEmbeddingTimeoutMs: [-1, Number.NaN],
      clock: [Date],
    },
  ],
  [
    'DiskMediaArchive',
    (options) => new DiskMediaArchive(options),
    { directory: 'unused' },
    { directry: ['x'], directory: [undefined, ''], maxBytes: [0, -1, '1 GB'] },
  ],
  [
    'InProcessMediaArchive',
    (options) => new InProcessMediaArchive(options),
    {},
    { maxbytes: [1], maxBytes: [0, Number.NaN] },
  ],
  [
    'ChromaMemoryStore',
    (options) => new ChromaMemoryStore(options),
    {},
    {
      uri: ['http://localhost:8000'],
      url: ['', 'localhost:8000', 'ftp://localhost', 7],
      client: [{}],
      token: [''],
      outbox: ['outbox.db'],
      timeoutMs: [0],
      embedder: [{}],
    },
  ],
  [
    'withOutbox',
    (options) => withOutbox(new EmbeddedMemoryStore({ path: ':memory:' }), options),
    { path: 'unused' },
    { path: [undefined, ''], maxPending: [0, -1, 1.5], maxpending: [5], clock: [{}] },
  ],
  [
    'startChromaServer',
    (options) => startChromaServer(options),
    { path: 'unused', command: ['false'] },
    { path: [undefined, ''], port: [-1, 70_000, 1.5], command: [[], 'chroma'], timeoutMs: [0], prot: [1] },
  ],
];

const cases = parts.flatMap(([part, open, needed, wrong]) =>
  Object.entries(wrong).flatMap(([option, values]) =>
    values.map((value) => ({ part, open, option, value, options: { ...needed, [option]: value } as never })),
  ),
);

describe('The options of the parts of memory', () => {
  it.each(cases)('refuse $option: $value for $part', async ({ part, open, option, options }) => {
    const refusal = expect(async () => open(options)).rejects;
    await refusal.toSatisfy((error) => ConfigurationError.isInstance(error));
    await refusal.toThrow(new RegExp(`^The options of ${part} are not valid: .*${option}`));
  });

  it.each(['', 'localhost:8000'])('refuse %j as CHROMA_URL', (url) => {
    const before = process.env.CHROMA_URL;
    process.env.CHROMA_URL = url;
    try {
      expect(() => new ChromaMemoryStore()).toThrow(/CHROMA_URL/);
    } finally {
      if (before === undefined) delete process.env.CHROMA_URL;
      else process.env.CHROMA_URL = before;
    }
  });

  it('may be undefined if they have a default', async () => {
    const unset = { maxCacheBytes: undefined, queryEmbeddingTimeoutMs: undefined, clock: undefined };
    await new EmbeddedMemoryStore({ path: ':memory:', embedder: undefined, ...unset }).close();
    const chroma = new ChromaMemoryStore({ url: undefined, ...unset });
    await withOutbox(chroma, { path: 'unused', maxPending: undefined, clock: undefined }).close();
    await new InProcessMediaArchive({ maxBytes: undefined }).close();
  });
});
