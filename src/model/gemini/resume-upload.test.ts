import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../core/clock.js';
import { Redactor } from '../../core/redact.js';
import { resumingFetch } from './resume-upload.js';

const file = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 251));
const startsAt = 5000;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

interface Upload {
  received: Buffer;
  readonly commands: string[];
}
type Answer = (request: IncomingMessage, response: ServerResponse, upload: Upload) => void | Promise<void>;

/** A service that already has the first bytes; a test sets how it answers each command. */
async function serve(answers: {
  upload: Answer;
  query?: Answer;
  get?: Answer;
}): Promise<Upload & { url: string }> {
  const upload: Upload = { received: file.subarray(0, startsAt), commands: [] };
  const server = createServer((request, response) => {
    const command = String(request.headers['x-goog-upload-command'] ?? 'get').split(',')[0] ?? '';
    upload.commands.push(command);
    const answer = { query: tellReceived, ...answers }[command as 'upload' | 'query' | 'get'];
    void answer?.(request, response, upload);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(upload, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` });
}

const tellReceived: Answer = (_, response, { received }) => {
  response
    .setHeader('x-goog-upload-status', 'active')
    .setHeader('x-goog-upload-size-received', received.length)
    .end();
};

/** Takes at most this many bytes of a request, then breaks the connection if there are more. */
const takeAtMost =
  (bytes: number): Answer =>
  async (request, response, upload) => {
    expect(Number(request.headers['x-goog-upload-offset'])).toBe(upload.received.length);
    const body = await buffer(request);
    upload.received = Buffer.concat([upload.received, body.subarray(0, bytes)]);
    if (body.length > bytes) response.destroy();
    else response.setHeader('x-goog-upload-status', 'final').end('{"file":{}}');
  };

/** Delays take no time; the time limit of a request expires when a test calls `pass`. */
function makeClock(): Clock & { pass(): void } {
  const limits = new Set<() => void>();
  return {
    now: () => 0,
    setTimeout: (callback, delayMs) => {
      if (delayMs < 60_000) return setTimeout(callback, 0);
      limits.add(callback);
      return callback;
    },
    clearTimeout: (handle) => {
      limits.delete(handle as () => void);
      clearTimeout(handle as NodeJS.Timeout);
    },
    pass: () => {
      for (const limit of limits) limit();
    },
  };
}

function send(url: string, { clock = makeClock(), signal = new AbortController().signal } = {}) {
  const fetch = resumingFetch({ clock, redactor: new Redactor(() => []), signal });
  return fetch(url, {
    method: 'POST',
    headers: { 'X-Goog-Upload-Command': 'upload, finalize', 'X-Goog-Upload-Offset': String(startsAt) },
    body: new Blob([file.subarray(startsAt)]),
  });
}

describe('resumingFetch', () => {
  it('resumes where the connection broke, as long as each attempt gets further', async () => {
    const service = await serve({ upload: takeAtMost(10_000) });
    const response = await send(service.url);
    expect(await response.json()).toEqual({ file: {} });
    expect(service.received.equals(file)).toBe(true);
    expect(service.commands.filter((command) => command === 'query')).toHaveLength(9);
  });

  it('gives up after four attempts in which no byte arrives', async () => {
    const service = await serve({ upload: takeAtMost(0) });
    await expect(send(service.url)).rejects.toMatchObject({ failure: { kind: 'network' } });
    expect(service.commands.filter((command) => command === 'upload')).toHaveLength(4);
  });

  it('resumes after a stall', async () => {
    const clock = makeClock();
    let stalled = false;
    const service = await serve({
      upload: (request, response, upload) => {
        if (stalled) return takeAtMost(file.length)(request, response, upload);
        stalled = true;
        request.once('data', () => clock.pass());
      },
    });
    expect((await send(service.url, { clock })).ok).toBe(true);
    expect(service.commands).toEqual(['upload', 'query', 'upload']);
    expect(service.received.equals(file)).toBe(true);
  });

  it('resumes after the service is overloaded, for the upload or for the query', async () => {
    let refusals = 2;
    const refuse: Answer = (request, response) => {
      request.resume();
      response.writeHead(503).end();
    };
    const unlessRefused =
      (answer: Answer): Answer =>
      (...call) => {
        refusals -= 1;
        return (refusals >= 0 ? refuse : answer)(...call);
      };
    const service = await serve({
      upload: unlessRefused(takeAtMost(file.length)),
      query: unlessRefused(tellReceived),
    });
    expect((await send(service.url)).ok).toBe(true);
    expect(service.received.equals(file)).toBe(true);
  });

  it.each<readonly [string, Answer]>([
    ['unknown', (_, response) => void response.writeHead(404).end()],
    ['over', (_, response) => void response.setHeader('x-goog-upload-status', 'final').end()],
    [
      'at a place that was never sent',
      (_, response) =>
        void response
          .setHeader('x-goog-upload-status', 'active')
          .setHeader('x-goog-upload-size-received', 7)
          .end(),
    ],
  ])('fails with the first fault if the upload is %s', async (_, query) => {
    const service = await serve({ upload: takeAtMost(10), query });
    await expect(send(service.url)).rejects.toMatchObject({ failure: { kind: 'network' } });
    expect(service.commands).toEqual(['upload', 'query']);
  });

  it('does not repeat what the service refuses', async () => {
    const service = await serve({ upload: (_, response) => void response.writeHead(400).end() });
    await expect(send(service.url)).rejects.toMatchObject({ failure: { kind: 'invalid-request' } });
    expect(service.commands).toEqual(['upload']);
  });

  it('repeats GET requests, but never starts an upload twice', async () => {
    let cuts = 2;
    const cut: Answer = (_, response) => {
      cuts -= 1;
      if (cuts >= 0) response.destroy();
      else response.end('{}');
    };
    const service = await serve({ upload: cut, get: cut });
    const fetch = resumingFetch({
      ...{ clock: makeClock(), redactor: new Redactor(() => []), signal: new AbortController().signal },
    });
    expect((await fetch(service.url)).ok).toBe(true);
    cuts = 2;
    const start = { method: 'POST', headers: { 'x-goog-upload-command': 'upload' }, body: '{}' };
    await expect(fetch(service.url, start)).rejects.toMatchObject({ failure: { kind: 'network' } });
    expect(service.commands).toEqual(['get', 'get', 'get', 'upload']);
  });

  it('ends when the signal aborts', async () => {
    const leaving = new AbortController();
    const service = await serve({ upload: (request) => void request.once('data', () => leaving.abort()) });
    await expect(send(service.url, { signal: leaving.signal })).rejects.toThrow();
    expect(service.commands).toEqual(['upload']);
  });
});
