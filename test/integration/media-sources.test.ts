import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { MediaSource } from '../../src/core/media.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import type { MediaOptions } from '../../src/media/media-options.js';
import { drawPicture } from '../support/media-fixtures.js';

let directory: string;
let picture: Buffer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sources-'));
  picture = await drawPicture(1).png().toBuffer();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function prepare(source: MediaSource, options: MediaOptions = {}) {
  await using processor = new DefaultMediaProcessor({ tempDir: directory, ...options });
  return await processor.prepare(source);
}

const failureOf = (source: MediaSource, options?: MediaOptions) =>
  prepare(source, options).then(
    () => 'none',
    (error: { name: string; reason?: string; message: string }) => error,
  );

describe('a path', () => {
  it.each(['notes #2.md', 'what?.txt', 'a%20b#c?d.csv', '100%.log'])('may be called %s', async (name) => {
    await writeFile(join(directory, name), 'a, b');
    const byPath = await prepare(join(directory, name));
    const byUrl = await prepare(pathToFileURL(join(directory, name)));
    expect([byPath.name, byPath.kind, byUrl.name]).toEqual([name, 'document', name]);
  });
});

describe('a data: URL', () => {
  it.each([
    ['as a string', (url: string) => url],
    ['as a URL', (url: string) => new URL(url)],
    ['with a name', (url: string) => ({ data: url, name: 'bars.png' })],
  ])('is read %s', async (_, make) => {
    const media = await prepare(make(`data:image/png;base64,${picture.toString('base64')}`), {
      allowPaths: false,
    });
    const plain = await prepare(picture);
    expect([media.kind, media.fingerprint]).toEqual(['image', plain.fingerprint]);
  });

  it.each([
    ['data:text/plain,caf%C3%A9', 'café'],
    ['data:text/plain,café', 'café'],
    ['data:text/plain;charset=utf-8;base64,Y2Fmw6k', 'café'],
    ['DATA:text/csv;base64,YSxi%0ACmMsZA%3D%3D', 'a,b\nc,d'],
    ['data:text/markdown,%23%20Title', '# Title'],
    ['data:text/plain,title#fragment', 'title'],
  ])('%s is text', async (url, text) => {
    const { parts, name } = await prepare(url);
    expect(name).toBe('attachment');
    expect(new TextDecoder().decode(parts[0]?.data)).toBe(text);
  });

  it.each(['data:', 'data:image/png', 'data:image/png;base64,%%%', 'data:image/png;base64,a=b=c'])(
    '%s is refused with a sentence',
    async (url) => {
      const failure = await failureOf(url);
      expect(failure).toMatchObject({ name: 'InvalidInputError' });
    },
  );

  it.each([
    ['base64', `data:;base64,${'A'.repeat(4000)}`],
    ['escaped', `data:,${'%41'.repeat(2000)}`],
    ['plain', `data:,${'A'.repeat(2000)}`],
  ])('of too many bytes is refused: %s', async (_, url) => {
    expect(await failureOf(url, { maxBytes: 1000 })).toMatchObject({
      name: 'MediaError',
      reason: 'too-large',
    });
  });
});

describe('an address that is not one', () => {
  it.each(['http://[', 'https://', 'HTTP://a b', 'http://1.2.3.4.5.6:99999', 'http://%00'])(
    '%s is refused with a sentence',
    async (address) => {
      expect(await failureOf(address, { allowUrls: true })).toMatchObject({ name: 'InvalidInputError' });
    },
  );

  it.each(['file://elsewhere/a.png', 'file:///a%2Fb.png'])('%s names no file here', async (address) => {
    expect(await failureOf(new URL(address))).toMatchObject({ name: 'InvalidInputError' });
  });

  it.each(['http://[', 'https://:1', 'http://a b/'])('is refused as a redirect: %s', async (location) => {
    const server = createServer((_, response) => response.writeHead(302, { location }).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const options = { allowUrls: true, allowPrivateAddresses: true };
    expect(await failureOf(`http://127.0.0.1:${port}/a.png`, options)).toMatchObject({
      name: 'MediaError',
      reason: 'not-found',
    });
  });
});
