import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { drawPicture, ffmpeg, makeClip } from './media-fixtures.js';

export type UploadKind = 'picture' | 'short clip' | 'long clip' | 'recording' | 'document' | 'broken';

/** A file to send, and how a server has to answer it. */
export interface Upload {
  readonly kind: UploadKind;
  readonly name: string;
  readonly data: Buffer;
  readonly status: number;
}

export interface UploadSizes {
  readonly picture: { readonly width: number; readonly height: number };
  readonly clip: { readonly width: number; readonly height: number; readonly fps: number };
  readonly shortSeconds: number;
  readonly longSeconds: number;
  readonly pdfBytes: number;
}

/** How many of 64 are of which kind. */
const shares: Readonly<Record<UploadKind, number>> = {
  picture: 24,
  'short clip': 16,
  'long clip': 4,
  recording: 8,
  document: 8,
  broken: 4,
};

/** 64 uploads of every kind, mixed, none with the same bytes as another. */
export async function makeUploads(directory: string, sizes: UploadSizes): Promise<readonly Upload[]> {
  const makers = await originals(directory, sizes);
  const queues = Object.entries(shares).map(([kind, count]) =>
    Array.from({ length: count }, (_, n) => makers[kind as UploadKind](n)),
  );
  // Evenly: the nth of a kind comes after the same share of the others.
  return queues
    .flatMap((queue) => queue.map((upload, n) => ({ upload, place: (n + 0.5) / queue.length })))
    .sort((a, b) => a.place - b.place)
    .map(({ upload }) => upload);
}

async function originals(
  directory: string,
  { picture, clip, shortSeconds, longSeconds, pdfBytes }: UploadSizes,
): Promise<Readonly<Record<UploadKind, (n: number) => Upload>>> {
  const jpeg = await drawPicture(7, picture.width, picture.height).jpeg({ quality: 95 }).toBuffer();
  const file = (name: string) => join(directory, name);
  const [short, long, sound] = [file('short.mp4'), file('long.mp4'), file('sound.mp3')];
  await makeClip({ path: short, seconds: shortSeconds, gop: clip.fps, audio: true, ...clip });
  await makeClip({ path: long, seconds: longSeconds, gop: clip.fps * 4, audio: true, ...clip });
  ffmpeg('-f', 'lavfi', '-t', String(shortSeconds * 4), '-i', 'sine=frequency=440', '-b:a', '128k', sound);
  const [shortClip, longClip, recording] = await Promise.all(
    [short, long, sound].map((path) => readFile(path)),
  );
  const pdf = Buffer.concat([
    Buffer.from('%PDF-1.4\n1 0 obj << /Type /Page >> endobj\n'),
    Buffer.alloc(pdfBytes, '% filler\n'),
    Buffer.from('\n%%EOF\n'),
  ]);
  const good = (kind: UploadKind, name: string, data: Buffer | undefined) => (n: number) => ({
    kind,
    name: `${n}-${name}`,
    data: Buffer.concat([data ?? Buffer.alloc(0), numberedTail(name, n)]),
    status: 200,
  });
  const broken: readonly Omit<Upload, 'kind'>[] = [
    { name: 'half.jpg', data: jpeg.subarray(0, jpeg.length / 2), status: 400 },
    { name: 'nothing.mp4', data: Buffer.from('\0\0\0\x18ftypisom\0\0\x02\0isommp41', 'latin1'), status: 400 },
    { name: 'page.html', data: Buffer.from('<!DOCTYPE html><p>Hello'), status: 415 },
    { name: 'list.m3u8', data: Buffer.from('#EXTM3U\nhttp://127.0.0.1:1/a.ts\n'), status: 400 },
  ];
  return {
    picture: good('picture', 'photo.jpg', jpeg),
    'short clip': good('short clip', 'short.mp4', shortClip),
    'long clip': good('long clip', 'long.mp4', longClip),
    recording: good('recording', 'sound.mp3', recording),
    document: good('document', 'paper.pdf', pdf),
    broken: (n) => ({ kind: 'broken', ...(broken[n % broken.length] as Omit<Upload, 'kind'>) }),
  };
}

/** Bytes behind the end, which readers skip, so that no two files are the same to a cache. */
function numberedTail(name: string, n: number): Buffer {
  if (!name.endsWith('.mp4')) return Buffer.from(`\n%${n}\n`);
  const box = Buffer.from('\0\0\0\x0cfree\0\0\0\0', 'latin1');
  box.writeUInt32BE(n, 8);
  return box;
}

export interface Answer {
  readonly kind: UploadKind;
  readonly name: string;
  readonly status: number;
  readonly expected: number;
  readonly ms: number;
}

/** Sends all of them at once to `POST /infer`. */
export function sendAll(url: string, uploads: readonly Upload[]): Promise<readonly Answer[]> {
  return Promise.all(
    uploads.map(async ({ kind, name, data, status: expected }) => {
      const body = new FormData();
      body.append('prompt', 'What is this?');
      body.append('video_file', new Blob([new Uint8Array(data)]), name);
      const startedAt = performance.now();
      const response = await fetch(`${url}/infer`, { method: 'POST', body });
      await response.text();
      return { kind, name, status: response.status, expected, ms: performance.now() - startedAt };
    }),
  );
}
