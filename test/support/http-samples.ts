import { createHash } from 'node:crypto';
import { type GeneratedFile, type PreparedMedia, type Turn, toTurn } from '../../src/index.js';

/** Requests and replies shared by the tests of HTTP. */
export const url = (path: string) => `http://localhost${path}`;

export function ask(
  fields: Record<string, string | Blob | readonly Blob[]>,
  headers: Record<string, string> = {},
  path = '/infer',
) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const item of Array.isArray(value) ? value : [value]) form.append(name, item);
  }
  return new Request(url(path), { method: 'POST', body: form, headers });
}

export const askJson = (body: unknown, headers: Record<string, string> = {}) =>
  new Request(url('/infer'), {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });

export const turn: Turn = toTurn({
  tenant: 'default',
  sessionId: 'c1',
  id: 't0',
  createdAt: 1_700_000_000_500,
  prompt: 'Where was it?',
  reply: 'In Lisbon.',
  media: [
    { kind: 'video', name: 'a.mp4', fingerprint: 'ff', mimeType: 'video/mp4', frameTimestampsMs: [500] },
  ],
});

export const clip: PreparedMedia = {
  kind: 'video',
  name: 'clip.mp4',
  fingerprint: 'abc',
  estimatedTokens: 516,
  source: { mimeType: 'video/mp4', bytes: 1000, width: 640, height: 360, durationMs: 4000, codec: 'h264' },
  parts: [
    { mimeType: 'image/jpeg', data: Buffer.from('one'), timestampMs: 1000 },
    { mimeType: 'image/jpeg', data: Buffer.from('two'), timestampMs: 3000 },
    { mimeType: 'audio/mpeg', data: Buffer.from('la') },
  ],
};

/** A file as a model generates it. */
export function generated(name: string, mimeType: string, data: Uint8Array | string): GeneratedFile {
  const bytes = Buffer.from(data);
  return { name, mimeType, data: bytes, fingerprint: createHash('sha256').update(bytes).digest('hex') };
}

/** Parses server-sent events, without comments. */
export function readEvents(text: string): { event: string; data: Record<string, unknown> }[] {
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('event:'))
    .map((block) => {
      const [, event = '', data = ''] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
      return { event, data: JSON.parse(data) };
    });
}
