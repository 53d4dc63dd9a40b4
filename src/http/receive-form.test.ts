import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ByteBudget } from './byte-budget.js';
import { receiveForm } from './receive-form.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'form-test-'));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

const limits = { maxUploadBytes: 2000, maxFiles: 3, maxPromptChars: 100, fields: ['model'] };
const prompt = '--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nHi\r\n';
const fileHead =
  '--x\r\nContent-Disposition: form-data; name="video_file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n';
const end = '--x--\r\n';

function bodyOf(chunks: readonly (string | Uint8Array)[], { ends = true } = {}) {
  const cancelled: unknown[] = [];
  const waiting = [...chunks];
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = waiting.shift();
      if (chunk !== undefined) controller.enqueue(new Uint8Array(Buffer.from(chunk)));
      else if (ends) controller.close();
    },
    cancel: (reason) => void cancelled.push(reason),
  });
  return { body, cancelled };
}

const receive = (
  body: ReadableStream<Uint8Array>,
  { contentType = 'multipart/form-data; boundary=x', signal = new AbortController().signal } = {},
) =>
  receiveForm(body.getReader(), contentType, {
    directory: { path: async () => directory, hold: () => undefined },
    limits,
    share: new ByteBudget(1e9).open(),
    signal,
  });

describe('receiveForm', () => {
  it('writes files that only this user can read', async () => {
    const { files, fields } = await receive(bodyOf([prompt, fileHead, 'DATA\r\n', end]).body);
    expect(Object.fromEntries(fields)).toEqual({ prompt: 'Hi' });
    expect(files).toEqual([{ path: join(directory, '0'), name: 'a.png', mimeType: 'image/png' }]);
    expect(await readFile(join(directory, '0'), 'utf8')).toBe('DATA');
    expect((await stat(join(directory, '0'))).mode & 0o777).toBe(0o600);
  });

  it('reads the same form from chunks of any size', async () => {
    const names = fc.stringMatching(/^[a-z0-9 äöü()-]{1,20}[a-z]$/);
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
        fc.array(fc.record({ name: names, data: fc.uint8Array({ minLength: 1, maxLength: 600 }) }), {
          maxLength: 3,
        }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 }),
        async (text, files, cuts) => {
          const form = new FormData();
          form.append('prompt', text);
          for (const { name, data } of files)
            form.append('video_file', new File([new Uint8Array(data)], name));
          const encoded = new Response(form);
          const bytes = Buffer.from(await encoded.arrayBuffer());
          const chunks: Uint8Array[] = [];
          for (let at = 0, i = 0; at < bytes.length; i += 1) {
            const length = cuts[i % cuts.length] ?? 1;
            chunks.push(bytes.subarray(at, at + length));
            at += length;
          }
          const contentType = encoded.headers.get('content-type') ?? '';
          const received = await receive(bodyOf(chunks).body, { contentType });
          // A form sends line breaks as CRLF.
          expect(received.fields.get('prompt')).toBe(text.replaceAll(/\r\n|\r|\n/g, '\r\n'));
          expect(received.files.map(({ name }) => name)).toEqual(files.map(({ name }) => name.trim()));
          for (const [i, { path }] of received.files.entries()) {
            expect(Buffer.compare(await readFile(path), Buffer.from(files[i]?.data ?? []))).toBe(0);
            await rm(path);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each([
    ['nothing', []],
    ['no boundary anywhere', ['garbage']],
    ['another boundary', [prompt.replace('--x', '--y'), '--y--\r\n']],
    ['an end within a header', [prompt, '--x\r\nContent-Dis']],
    ['an end within a field', ['--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nHi']],
    ['an end after a field', [prompt]],
    ['an end within a file', [prompt, fileHead, 'DATA']],
    [
      'an end within a part that is none of ours',
      [prompt, '--x\r\nContent-Disposition: attachment\r\n\r\nx'],
    ],
    ['no closing dashes', [prompt, '--x']],
  ])('refuses a body with %s', async (_what, chunks) => {
    await expect(receive(bodyOf(chunks).body)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('broken or incomplete'),
    });
  });

  it.each(['multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; boundary'])(
    'refuses a type without a boundary: %s',
    async (contentType) => {
      await expect(receive(bodyOf([prompt, end]).body, { contentType })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
      });
    },
  );

  it.each<[string, string[], string]>([
    ['a file over the limit', [prompt, fileHead, 'D'.repeat(2001)], 'MEDIA_TOO_LARGE'],
    [
      'files over the limit together',
      [fileHead, 'D'.repeat(1500), '\r\n', fileHead, 'D'.repeat(600)],
      'MEDIA_TOO_LARGE',
    ],
    ['more files than allowed', [`${fileHead}D\r\n`.repeat(3), fileHead, 'D'], 'TOO_MANY_FILES'],
    ['a file in a strange field', [fileHead.replace('video_file', 'photo'), 'D'], 'INVALID_INPUT'],
    [
      'a field over its limit',
      [prompt.replace('Hi\r\n', ''), 'x'.repeat(300_000), '\r\n--x\r\n'],
      'FIELD_TOO_LONG',
    ],
    ['fields without end', [prompt.repeat(100)], 'INVALID_INPUT'],
  ])('gives up on %s without waiting for the rest', async (_what, chunks, code) => {
    const { body, cancelled } = bodyOf(chunks, { ends: false });
    await expect(receive(body)).rejects.toMatchObject({ code });
    expect(cancelled).toHaveLength(1);
  });

  it('counts the bytes between the files too', async () => {
    const junk = '--x\r\nContent-Disposition: attachment\r\n\r\n';
    const { body } = bodyOf([junk, ...Array<string>(20).fill('J'.repeat(64 * 1024))], { ends: false });
    await expect(receive(body)).rejects.toMatchObject({ code: 'MEDIA_TOO_LARGE' });
  });

  it('stops at once when the signal aborts, with its reason', async () => {
    const { body, cancelled } = bodyOf([prompt, fileHead, 'DATA'], { ends: false });
    const controller = new AbortController();
    const received = receive(body, { signal: controller.signal });
    controller.abort(new Error('gone'));
    await expect(received).rejects.toThrow('gone');
    expect(cancelled).toHaveLength(1);
  });

  it('accepts unusual but valid forms', async () => {
    const nameless = '--x\r\n\r\nno name\r\n';
    const unnamedFile = fileHead.replace('; filename="a.png"', '');
    const { fields, files } = await receive(
      bodyOf([nameless, prompt, unnamedFile, 'D\r\n', end, 'an epilogue']).body,
    );
    expect([...fields]).toEqual([['prompt', 'Hi']]);
    expect(files.map(({ name }) => name)).toEqual(['attachment 1']);
  });

  it('rejects with the error of the disk', async () => {
    await rm(directory, { recursive: true });
    await expect(receive(bodyOf([fileHead, 'DATA\r\n', end]).body)).rejects.toMatchObject({
      code: 'UPLOAD_NOT_STORED',
      status: 503,
      cause: { code: 'ENOENT' },
    });
    expect(await readdir(tmpdir())).not.toContain(directory);
  });
});
