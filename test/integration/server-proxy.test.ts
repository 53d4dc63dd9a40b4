import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startForwardProxy } from '../support/forward-proxy.js';
import { ask, makeServerDirectory, question, readLog, startServer } from './server-process.js';

// Every server is a process that compiles its TypeScript first.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const credentials = 'proxy user:p@ss/word';
const inUrl = credentials.split(':').map(encodeURIComponent).join(':');
const keys = { GEMINI_API_KEY: 'a-key-behind-a-proxy', LOG_LEVEL: 'DEBUG' };
const tunneledHost = 'gemini.test';

async function start(env: Readonly<Record<string, string>>) {
  const { path, remove } = await makeServerDirectory();
  onTestFinished(remove);
  const server = await startServer(path, env);
  onTestFinished(async () => {
    await server.stop();
  });
  const everythingLogged = async () => server.output() + (await readLog(path));
  return { server, everythingLogged };
}

async function emulate() {
  const emulator = await startGeminiEmulator();
  onTestFinished(() => emulator.close());
  return { emulator, port: Number(new URL(emulator.url).port) };
}

async function openProxy(targetPort: number) {
  const proxy = await startForwardProxy(targetPort, credentials);
  onTestFinished(() => proxy.close());
  return proxy;
}

/** Ends TLS for `tunneledHost` in front of a port. Gives its own port and the certificate to trust. */
async function startTls(targetPort: number): Promise<{ port: number; certificate: string }> {
  const { path, remove } = await makeServerDirectory();
  onTestFinished(remove);
  const [key, certificate] = [join(path, 'key.pem'), join(path, 'certificate.pem')];
  const subject = ['-subj', `/CN=${tunneledHost}`, '-addext', `subjectAltName=DNS:${tunneledHost}`];
  const made = ['-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', '-x509', ...made, ...subject], { stdio: 'ignore' });
  const server = createServer({ key: await readFile(key), cert: await readFile(certificate) }, (socket) => {
    const onward = connect(targetPort, '127.0.0.1');
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) end.on('error', () => [socket, onward].map((each) => each.destroy()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, certificate };
}

describe('the example server behind a proxy', () => {
  it('forwards requests to http:// targets, with the credentials of the proxy, which it logs nowhere', async () => {
    const { emulator, port } = await emulate();
    const proxy = await openProxy(port);
    const { server, everythingLogged } = await start({
      ...keys,
      GOOGLE_GEMINI_BASE_URL: 'http://gemini.test',
      HTTP_PROXY: `http://${inUrl}@127.0.0.1:${proxy.port}`,
    });
    expect(await ask(server, 'Hello')).toContain('Hello');
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    expect(proxy.requests).toEqual([
      { method: 'POST', target: expect.stringMatching(/^http:\/\/gemini\.test\/v1/), authorization },
    ]);
    emulator.expectCalls({ operation: 'generate', status: 200 }, 1);
    const logged = await everythingLogged();
    expect(logged).toContain(`outgoing requests go through the proxy at 127.0.0.1:${proxy.port}`);
    for (const secret of [inUrl, credentials, 'p@ss/word', encodeURIComponent('p@ss/word')])
      expect(logged).not.toContain(secret);
  });

  it('opens a tunnel to https:// targets', async () => {
    const { emulator, port } = await emulate();
    const tls = await startTls(port);
    const proxy = await openProxy(tls.port);
    const { server } = await start({
      ...keys,
      GOOGLE_GEMINI_BASE_URL: `https://${tunneledHost}`,
      NODE_EXTRA_CA_CERTS: tls.certificate,
      https_proxy: `http://${inUrl}@127.0.0.1:${proxy.port}`,
    });
    expect(await ask(server, 'Hello')).toContain('Hello');
    expect(proxy.requests).toMatchObject([{ method: 'CONNECT', target: `${tunneledHost}:443` }]);
    emulator.expectCalls({ operation: 'generate', status: 200 }, 1);
  });

  it('reaches the hosts of NO_PROXY directly', async () => {
    const { emulator, port } = await emulate();
    const proxy = await openProxy(port);
    const { server } = await start({
      ...keys,
      GOOGLE_GEMINI_BASE_URL: emulator.url,
      HTTP_PROXY: `http://${inUrl}@127.0.0.1:${proxy.port}`,
      NO_PROXY: 'example.com, 127.0.0.1,localhost',
    });
    expect(await ask(server, 'Hello')).toContain('Hello');
    expect(proxy.requests).toEqual([]);
  });

  it('reaches its own emulator directly', async () => {
    const { port } = await emulate();
    const proxy = await openProxy(port);
    const { server } = await start({ HTTP_PROXY: `http://${inUrl}@127.0.0.1:${proxy.port}` });
    expect(await ask(server, 'Hello')).toContain('This is the Gemini emulator');
    expect(proxy.requests).toEqual([]);
  });

  it.each(['http', 'https'])(
    'says without the credentials that a proxy refused them, for an %s:// target',
    async (scheme) => {
      const { emulator, port } = await emulate();
      const proxy = await openProxy(port);
      const wrong = 'planted-user:planted-password';
      const { server, everythingLogged } = await start({
        ...keys,
        GOOGLE_GEMINI_BASE_URL: `${scheme}://${tunneledHost}`,
        HTTP_PROXY: `http://${wrong}@127.0.0.1:${proxy.port}`,
      });
      const leaving = new AbortController();
      const { signal } = leaving;
      const body = question('Hello', 's');
      const answer = fetch(`${server.url}/infer`, { method: 'POST', body, signal });
      // The server would try several times.
      await Promise.all([
        server.shows('trying again').then(() => leaving.abort()),
        expect(answer).rejects.toThrow(),
      ]);
      expect(emulator.journal).toEqual([]);
      const logged = await everythingLogged();
      for (const secret of ['planted-', Buffer.from(wrong).toString('base64')])
        expect(logged).not.toContain(secret);
    },
  );
});
