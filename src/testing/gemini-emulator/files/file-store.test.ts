import { afterEach, describe, expect, it } from 'vitest';
import { createStarter, model, statusOf, twoProjects } from '../../../../test/support/emulated-gemini.js';

const { start, closeAll } = createStarter();
afterEach(closeAll);

describe('files', () => {
  const clip = () => new Blob([Buffer.alloc(300_000, 7)], { type: 'video/mp4' });

  it('can be uploaded, described, listed, used and deleted', async () => {
    const { ai } = await start();
    const file = await ai.files.upload({ file: clip(), config: { displayName: 'clip.mp4' } });
    expect(file).toMatchObject({
      displayName: 'clip.mp4',
      mimeType: 'video/mp4',
      sizeBytes: '300000',
      state: 'ACTIVE',
    });
    const name = file.name ?? '';
    expect(await ai.files.get({ name })).toMatchObject({ name, uri: file.uri });
    const listed = [];
    for await (const one of await ai.files.list()) listed.push(one.name);
    expect(listed).toEqual([name]);
    const fileData = { fileUri: file.uri ?? '', mimeType: 'video/mp4' };
    const { text } = await ai.models.generateContent({ model, contents: [{ fileData }, { text: 'And?' }] });
    expect(text).toContain(file.uri);
    await ai.files.delete({ name });
    expect(await statusOf(ai.files.get({ name }))).toBe(403);
  });

  it('belong to the project of the key and work with all its keys', async () => {
    const { client } = await start(twoProjects);
    const file = await client('key-a1').files.upload({ file: clip() });
    const use = (key: string) =>
      client(key).models.generateContent({
        model,
        contents: [{ fileData: { fileUri: file.uri ?? '', mimeType: 'video/mp4' } }],
      });
    expect(await statusOf(use('key-a2'))).toBe(200);
    const error = (await use('key-b').catch((reason: unknown) => reason)) as Error & { status: number };
    expect(error.status).toBe(403);
    expect(error.message).toContain('You do not have permission to access the File');
    expect(await statusOf(client('key-b').files.get({ name: file.name ?? '' }))).toBe(403);
  });

  it('are processed for a while, and expire after 48 hours', async () => {
    let now = 0;
    const clock = { now: () => now, setTimeout: () => undefined, clearTimeout: () => undefined };
    const { ai } = await start({ fileProcessingMs: 5000, clock });
    const file = await ai.files.upload({ file: clip() });
    const name = file.name ?? '';
    const contents = [{ fileData: { fileUri: file.uri ?? '', mimeType: 'video/mp4' } }];
    expect(file.state).toBe('PROCESSING');
    expect(await statusOf(ai.models.generateContent({ model, contents }))).toBe(400);
    now = 5000;
    expect((await ai.files.get({ name })).state).toBe('ACTIVE');
    expect(await statusOf(ai.models.generateContent({ model, contents }))).toBe(200);
    now = 48 * 3_600_000;
    expect(await statusOf(ai.files.get({ name }))).toBe(403);
  });

  it('can be resumed at the offset received so far, and at no other', async () => {
    const { emulator } = await start();
    const begun = await fetch(`${emulator.url}/upload/v1beta/files`, {
      method: 'POST',
      headers: {
        'x-goog-api-key': 'k',
        'X-Goog-Upload-Command': 'start',
        'X-Goog-Upload-Protocol': 'resumable',
      },
      body: JSON.stringify({ file: { displayName: 'notes.txt', mimeType: 'text/plain' } }),
    });
    const url = begun.headers.get('x-goog-upload-url') ?? '';
    const send = (command: string, offset: number, text?: string) =>
      fetch(url, {
        method: 'POST',
        headers: { 'X-Goog-Upload-Command': command, 'X-Goog-Upload-Offset': String(offset) },
        ...(text !== undefined && { body: text }),
      });
    await send('upload', 0, 'first ');
    expect((await send('upload', 99, 'lost')).status).toBe(400);
    expect((await send('query', 0)).headers.get('x-goog-upload-size-received')).toBe('6');
    const done = await send('upload, finalize', 6, 'second');
    expect(done.headers.get('x-goog-upload-status')).toBe('final');
    expect(await done.json()).toMatchObject({ file: { displayName: 'notes.txt', sizeBytes: '12' } });
  });
});
