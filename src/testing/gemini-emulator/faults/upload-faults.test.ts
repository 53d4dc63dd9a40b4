import { afterEach, describe, expect, it } from 'vitest';
import { createStarter, model, statusOf } from '../../../../test/support/emulated-gemini.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

const clip = () => new Blob([Buffer.alloc(300_000, 7)], { type: 'video/mp4' });

describe('upload faults', () => {
  it('upload-cut resets the connection of the real client half-way', async () => {
    const { emulator, ai } = await start();
    emulator.inject({ fault: 'upload-cut' });
    await expect(ai.files.upload({ file: clip() })).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
    await emulator.whenIdle();
    emulator.expectCalls({ operation: 'upload', fault: 'upload-cut', status: 0 }, 1);
    expect((await ai.files.upload({ file: clip() })).sizeBytes).toBe('300000');
  });

  it('upload-cut keeps received bytes, so that the upload can go on', async () => {
    const { emulator } = await start();
    emulator.inject({ fault: 'upload-cut' });
    const command = (url: string, name: string, offset = 0, body: string | null = null) =>
      fetch(url, {
        method: 'POST',
        headers: {
          'x-goog-api-key': 'k',
          'X-Goog-Upload-Command': name,
          'X-Goog-Upload-Offset': String(offset),
        },
        body,
      });
    const begun = await command(`${emulator.url}/upload/v1beta/files`, 'start', 0, '{"file":{}}');
    const url = begun.headers.get('x-goog-upload-url') ?? '';
    await expect(command(url, 'upload, finalize', 0, '0123456789')).rejects.toThrow();
    const received = Number((await command(url, 'query')).headers.get('x-goog-upload-size-received'));
    expect(received).toBe(5);
    const done = await command(url, 'upload, finalize', received, '56789');
    expect(await done.json()).toMatchObject({ file: { sizeBytes: '10', state: 'ACTIVE' } });
  });

  it('file-failed shows after processing, and forbids use of the file', async () => {
    let now = 0;
    const clock = { now: () => now, setTimeout: () => undefined, clearTimeout: () => undefined };
    const { emulator, ai } = await start({ fileProcessingMs: 5000, clock });
    emulator.inject({ fault: 'file-failed' });
    const { name = '', state, uri = '' } = await ai.files.upload({ file: clip() });
    expect(state).toBe('PROCESSING');
    now = 5000;
    expect(await ai.files.get({ name })).toMatchObject({
      state: 'FAILED',
      error: { message: 'The file could not be processed.' },
    });
    const contents = [{ fileData: { fileUri: uri, mimeType: 'video/mp4' } }];
    expect(await statusOf(ai.models.generateContent({ model, contents }))).toBe(400);
    expect((await ai.files.upload({ file: clip() })).state).toBe('PROCESSING');
  });

  it.each(['overloaded', 'internal', 'rate-limit'] as const)('include %s, as for any call', async (fault) => {
    const { emulator, ai } = await start();
    emulator.inject({ fault, operation: 'upload', times: 9 });
    expect(await statusOf(ai.files.upload({ file: clip() }))).toBeGreaterThanOrEqual(429);
    emulator.expectCalls({ operation: 'upload', fault }, { min: 1, max: 9 });
  });
});
