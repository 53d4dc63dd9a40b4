import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { createHandler, type Handler } from './handler.js';
import { nodeListener } from './node-listener.js';
import type { NodeRequest } from './node-messages.js';

let server: Server;

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

async function serve(handler: Handler): Promise<number> {
  server = createServer(nodeListener(handler)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Something to wait for that a handler makes happen. */
function signpost<T = void>() {
  let reach: (value: T) => void = () => undefined;
  const reached = new Promise<T>((resolve) => {
    reach = resolve;
  });
  return { reach, reached };
}

async function exchange(port: number, raw: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(raw);
  let answer = '';
  for await (const chunk of socket.setEncoding('utf8')) answer += chunk;
  return answer;
}

describe('nodeListener', () => {
  it('passes on method, URL, headers, body and address', async () => {
    const port = await serve(async (request, connection) => {
      const body = await request.text();
      const seen = { method: request.method, url: request.url, body, type: request.headers.get('x-kind') };
      return Response.json({ ...seen, ...connection }, { status: 201, headers: { 'x-more': 'yes' } });
    });
    const response = await fetch(`http://127.0.0.1:${port}/a/b?c=%20d`, {
      method: 'POST',
      body: 'grüße',
      headers: { 'x-kind': 'test' },
    });
    expect([response.status, response.headers.get('x-more')]).toEqual([201, 'yes']);
    expect(await response.json()).toEqual({
      method: 'POST',
      url: `http://127.0.0.1:${port}/a/b?c=%20d`,
      body: 'grüße',
      type: 'test',
      address: '127.0.0.1',
      path: '/a/b?c=%20d',
    });
  });

  it.each([
    ['a Host that is none', 'GET /x HTTP/1.1\r\nHost: [bad\r\nConnection: close\r\n\r\n', '200 OK'],
    ['no Host, in HTTP/1.0', 'GET /x HTTP/1.0\r\n\r\n', '200 OK'],
    ['an absolute URL', 'GET http://other/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', '200 OK'],
    ['a path that looks like a host', 'GET //x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', '200 OK'],
    ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', '200 OK'],
    ['a method that Request knows not', 'TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', '501'],
  ])('survives %s', async (_what, raw, status) => {
    const port = await serve(async () => new Response('ok'));
    expect(await exchange(port, raw)).toContain(`HTTP/1.1 ${status}`);
    expect((await fetch(`http://127.0.0.1:${port}`)).status).toBe(200);
  });

  it('reads a body only as fast as the handler does', async () => {
    const resume = signpost();
    let seen = 0;
    const port = await serve(async (request) => {
      await resume.reached;
      for await (const chunk of request.body as ReadableStream<Uint8Array>) seen += chunk.byteLength;
      return new Response(String(seen));
    });
    const total = 64 * 1024 * 1024;
    const outgoing = httpRequest({
      port,
      host: '127.0.0.1',
      method: 'POST',
      headers: { 'content-length': total },
    });
    const block = Buffer.alloc(1024 * 1024);
    let sent = 0;
    // The socket's buffers are full when a write stops being taken.
    while (outgoing.write(block) || outgoing.writableLength < 8 * block.length) sent += block.length;
    sent += block.length;
    expect(sent).toBeLessThan(total);
    resume.reach();
    for (; sent < total; sent += block.length) if (!outgoing.write(block)) await once(outgoing, 'drain');
    outgoing.end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect(Buffer.concat(await response.toArray()).toString()).toBe(String(total));
  });

  it('produces an answer only as fast as the client reads', async () => {
    let made = 0;
    const left = signpost();
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        made += 1;
        controller.enqueue(new Uint8Array(1024 * 1024));
      },
      cancel: () => left.reach(),
    });
    const port = await serve(async () => new Response(body));
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(socket, 'readable');
    socket.destroy();
    await left.reached;
    expect(made).toBeLessThan(64);
  });

  it('sends the head of a streamed answer before its first piece', async () => {
    const never = new ReadableStream<Uint8Array>({});
    const port = await serve(async () => new Response(never, { headers: { 'x-session-id': 'c1' } }));
    const controller = new AbortController();
    const response = await fetch(`http://127.0.0.1:${port}`, { signal: controller.signal });
    expect(response.headers.get('x-session-id')).toBe('c1');
    controller.abort();
  });

  it('aborts the request when the client hangs up during the upload', async () => {
    const aborted = signpost<unknown>();
    const failed = signpost<unknown>();
    const begun = signpost();
    const port = await serve(async (request) => {
      request.signal.addEventListener('abort', () => aborted.reach(request.signal.reason));
      begun.reach();
      await request.arrayBuffer().catch(failed.reach);
      return new Response();
    });
    const socket = connect(port, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf');
    await begun.reached;
    socket.destroy();
    expect(await aborted.reached).toMatchObject({ name: 'AbortError' });
    expect(await failed.reached).toBeInstanceOf(Error);
  });

  it('aborts the request when the client hangs up before the answer', async () => {
    const aborted = signpost<unknown>();
    const begun = signpost();
    const port = await serve(async (request) => {
      const gone = new Promise((resolve) => request.signal.addEventListener('abort', resolve));
      begun.reach();
      await gone;
      aborted.reach(request.signal.reason);
      return new Response();
    });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await begun.reached;
    socket.destroy();
    expect(await aborted.reached).toMatchObject({ name: 'AbortError' });
  });

  it('aborts the request even if the handler kept only its signal', async () => {
    const aborted = signpost();
    const begun = signpost();
    const listen = async (signal: AbortSignal) => {
      const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      begun.reach();
      await gone;
      aborted.reach();
      return new Response();
    };
    const port = await serve((request) => listen(request.signal));
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await begun.reached;
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    // The garbage of one turn of the event loop goes in a later one.
    for (let turns = 0; turns < 5; turns += 1) {
      collectGarbage();
      await new Promise(setImmediate);
    }
    socket.destroy();
    await aborted.reached;
  });

  it('does not abort a request that was answered', async () => {
    let signal: AbortSignal | undefined;
    const port = await serve(async (request) => {
      signal = request.signal;
      return new Response('ok');
    });
    await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect(signal?.aborted).toBe(false);
  });

  it('delivers a refusal to a client that is still sending', async () => {
    const port = await serve(async (request) => {
      const reader = (request.body as ReadableStream<Uint8Array>).getReader();
      await reader.read();
      await reader.cancel();
      return new Response('too much', { status: 413 });
    });
    const outgoing = httpRequest({
      port,
      host: '127.0.0.1',
      method: 'POST',
      headers: { 'content-length': 1e9 },
    });
    outgoing.on('error', () => undefined);
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    outgoing.write(Buffer.alloc(4 * 1024 * 1024));
    const [response] = await answered;
    expect(response.statusCode).toBe(413);
    expect(Buffer.concat(await response.toArray()).toString()).toBe('too much');
    outgoing.destroy();
  });

  it('cuts the connection if the answer fails half-way', async () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('half'));
      },
      pull(controller) {
        controller.error(new Error('broken'));
      },
    });
    const port = await serve(async () => new Response(body));
    const response = fetch(`http://127.0.0.1:${port}`).then((answer) => answer.text());
    await expect(response).rejects.toThrow();
  });
});

describe('a body that something before the handler has read', () => {
  /** A server whose framework does something with a request before the chat gets it. */
  async function serveAfter(framework: (request: NodeRequest & { body?: unknown }) => Promise<void>) {
    const chat = fakeChat();
    const listen = nodeListener(createHandler(chat));
    server = createServer((request, response) => {
      framework(request).then(
        () => listen(request, response),
        (error) => response.destroy(error),
      );
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const post = (body: BodyInit, headers: Record<string, string> = {}) =>
      fetch(`http://127.0.0.1:${port}/infer`, { method: 'POST', body, headers });
    return { chat, post };
  }
  const json = { 'content-type': 'application/json' };
  const question = JSON.stringify({ prompt: 'Hi' });
  const formWithFile = () => {
    const form = new FormData();
    form.append('prompt', 'Hi');
    form.append('video_file', new File(['clip'], 'a.mp4'));
    return form;
  };
  const readAll = async (request: IncomingMessage) => {
    for await (const _chunk of request);
  };

  it('is refused with a sentence, and never waited for', async () => {
    const { chat, post } = await serveAfter(readAll);
    const response = await post(question, json);
    expect([response.status, (await response.json()).error.code]).toEqual([500, 'BODY_ALREADY_READ']);
    expect(chat.requests).toEqual([]);
  });

  it('is refused if it was read in part', async () => {
    const { post } = await serveAfter(async (request) => {
      await once(request, 'readable');
      request.read(1);
    });
    expect((await post(question, json)).status).toBe(500);
  });

  it('is not taken for a form without files', async () => {
    const { chat, post } = await serveAfter(async (request) => {
      await readAll(request);
      Object.assign(request, { body: { prompt: 'Hi' }, files: [{ originalname: 'a.mp4' }] });
    });
    expect((await post(formWithFile())).status).toBe(500);
    expect(chat.requests).toEqual([]);
  });

  it.each<[string, unknown, Record<string, string>]>([
    ['JSON', { prompt: 'Hi' }, json],
    ['compressed JSON', { prompt: 'Hi' }, { ...json, 'content-encoding': 'gzip' }],
    ['an urlencoded form', { prompt: 'Hi' }, { 'content-type': 'application/x-www-form-urlencoded' }],
    ['text', question, json],
    ['bytes', Buffer.from(question), json],
  ])('is taken as a parser left it: %s', async (_what, body, headers) => {
    const { chat, post } = await serveAfter(async (request) => {
      await readAll(request);
      Object.assign(request, { body });
    });
    expect((await post(question, headers)).status).toBe(200);
    expect(chat.requests).toMatchObject([{ prompt: 'Hi' }]);
  });

  it('is read from the connection if a parser passed it over', async () => {
    const { chat, post } = await serveAfter(async (request) => {
      Object.assign(request, { body: {} });
    });
    expect((await post(formWithFile())).status).toBe(200);
    expect(chat.requests[0]?.media).toHaveLength(1);
  });

  it('is refused by a Web handler too', async () => {
    const request = new Request('http://localhost/infer', { method: 'POST', body: question, headers: json });
    await request.text();
    expect((await createHandler(fakeChat())(request)).status).toBe(500);
    server = createServer().listen(0);
    await once(server, 'listening');
  });
});
