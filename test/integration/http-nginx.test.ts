import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { chatRouter } from 'multimodal-chat/express';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fakeChat } from '../support/fake-chat.js';

const isMissing = spawnSync('nginx', ['-v']).error !== undefined;
const outside = Object.values(networkInterfaces())
  .flat()
  .find((each) => each?.family === 'IPv4' && !each.internal)?.address;

async function freePort(): Promise<number> {
  const probe = createTcpServer().listen(0);
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** The `location` of the README's configuration, without TLS. */
async function configOf(directory: string, port: number, upstream: number): Promise<string> {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [location = ''] = / {2}location \/ \{[^}]*\}/.exec(readme) ?? [];
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join(' ');
  return `daemon off; pid ${directory}/pid; error_log stderr;
events {}
http { access_log off; ${temporary}
  server { listen 0.0.0.0:${port}; ${location.replace('127.0.0.1:9000', `127.0.0.1:${upstream}`)} }
}`;
}

describe.skipIf(isMissing || outside === undefined)(
  `behind the nginx of the README${isMissing ? ' (SKIPPED: needs nginx)' : ''}`,
  () => {
    let directory: string;
    let server: Server;
    let nginx: ChildProcess;
    let port: number;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'nginx-test-'));
      const app = express().set('trust proxy', ['loopback']);
      server = app
        .use(chatRouter(fakeChat(), { clientRpm: 1, allowedHosts: ['chat.example.com'] }))
        .listen(0);
      await once(server, 'listening');
      port = await freePort();
      const config = join(directory, 'nginx.conf');
      await writeFile(config, await configOf(directory, port, (server.address() as AddressInfo).port));
      nginx = spawn('nginx', ['-p', directory, '-e', 'stderr', '-c', config]);
      await vi.waitFor(
        async () => expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200),
        10_000,
      );
    });

    afterAll(async () => {
      nginx?.kill();
      if (nginx) await once(nginx, 'exit');
      server?.closeAllConnections();
      server?.close();
      await rm(directory, { recursive: true, force: true });
    });

    const ask = (host: string | undefined, headers: Record<string, string> = {}) =>
      fetch(`http://${host}:${port}/infer`, {
        method: 'POST',
        body: JSON.stringify({ prompt: 'Hi' }),
        headers: { 'content-type': 'application/json', ...headers },
      }).then(({ status }) => status);

    it('counts each client by itself, whatever it says of its address', async () => {
      expect(await ask('127.0.0.1')).toBe(200);
      expect(await ask(outside)).toBe(200);
      expect(await ask(outside, { 'x-forwarded-for': '192.0.2.1' })).toBe(429);
      expect(await ask('127.0.0.1', { 'x-forwarded-for': 'garbage' })).toBe(429);
    });

    it('knows its own page and no other', async () => {
      const stats = (origin: string) =>
        fetch(`http://127.0.0.1:${port}/stats`, { headers: { origin } }).then(({ status }) => status);
      expect(await stats(`http://127.0.0.1:${port}`)).toBe(200);
      expect(await stats('http://127.0.0.1:1')).toBe(403);
    });
  },
);
