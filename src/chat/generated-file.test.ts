import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ClosedError } from '../core/errors.js';
import type { PreparedMedia } from '../core/media.js';
import { toTurn } from '../core/turn.js';
import { InProcessMediaArchive } from '../memory/archive/in-process-media-archive.js';
import { FakeChatModel, InMemoryStore } from '../testing.js';
import { MultimodalChat } from './multimodal-chat.js';

const here = { tenant: 'acme', sessionId: 'trip' };
const data = Buffer.from('a picture');
const fingerprint = createHash('sha256').update(data).digest('hex');

const media = (change: Partial<PreparedMedia> = {}): PreparedMedia => ({
  kind: 'image',
  name: 'chart.png',
  fingerprint,
  estimatedTokens: 280,
  source: { mimeType: 'image/png', bytes: data.byteLength },
  parts: [{ mimeType: 'image/png', data }],
  ...change,
});

/** A chat with `turns` turns in `here`, the first of which holds the generated file. */
async function openChat({ turns = 1, hasFilePart = true, archived = [media()] } = {}) {
  const memory = new InMemoryStore();
  const mediaArchive = new InProcessMediaArchive();
  for (let at = 0; at < turns; at += 1) {
    const file = { type: 'file', mimeType: 'image/png', fingerprint, bytes: 9, name: 'chart.png' } as const;
    await memory.append(
      toTurn({
        ...here,
        id: String(at),
        createdAt: at,
        messages: [
          { role: 'user', parts: [{ type: 'text', text: 'Draw' }] },
          { role: 'assistant', parts: at === 0 && hasFilePart ? [file] : [{ type: 'text', text: 'No.' }] },
        ],
      }),
    );
  }
  for (const each of archived) await mediaArchive.keep(here, each, 1);
  return new MultimodalChat({ model: new FakeChatModel(), memory, mediaArchive });
}

describe('chat.file', () => {
  it.each([1, 50, 51, 200])('finds a file that the model generated, %i turns ago', async (turns) => {
    await using chat = await openChat({ turns });
    const file = { mimeType: 'image/png', name: 'chart.png', fingerprint, data };
    expect(await chat.file({ ...here, fingerprint })).toEqual(file);
    expect(await chat.session('trip', { tenant: 'acme' }).file(fingerprint)).toEqual(file);
  });

  it.each([
    ['another tenant', { sessionId: 'trip', fingerprint }],
    ['another conversation', { ...here, sessionId: 'other', fingerprint }],
    ['another file', { ...here, fingerprint: 'ff' }],
    ['no fingerprint', { ...here, fingerprint: '' }],
  ])('finds nothing for %s', async (_what, target) => {
    await using chat = await openChat();
    expect(await chat.file(target)).toBeUndefined();
  });

  it('gives no attachment of the user', async () => {
    await using chat = await openChat({ hasFilePart: false });
    expect(await chat.file({ ...here, fingerprint })).toBeUndefined();
  });

  it('gives the bytes of the file itself if the user attached it again and it was archived smaller', async () => {
    const smaller = { mimeType: 'image/jpeg', data: Buffer.from('smaller') };
    const attached = media({ name: 'again.png', parts: [smaller] });
    await using chat = await openChat({ archived: [attached, media()] });
    expect((await chat.file({ ...here, fingerprint }))?.data).toEqual(data);
  });

  it('finds nothing once the bytes are gone', async () => {
    await using chat = await openChat({ archived: [] });
    expect(await chat.file({ ...here, fingerprint })).toBeUndefined();
  });

  it('finds nothing with memory or the archive off', async () => {
    const model = new FakeChatModel();
    await using forgetful = new MultimodalChat({ model, memory: false });
    await using unarchived = new MultimodalChat({ model, memory: ':memory:', mediaArchive: false });
    for (const chat of [forgetful, unarchived])
      expect(await chat.file({ ...here, fingerprint })).toBeUndefined();
  });

  it('rejects after close', async () => {
    const chat = await openChat();
    await chat.close();
    await expect(chat.file({ ...here, fingerprint })).rejects.toThrow(ClosedError);
  });
});
