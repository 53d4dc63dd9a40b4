import { readdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startChromaStub } from '../support/chroma-stub.js';
import { makeServerDirectory, question, readLog, runServer, startServer } from './server-process.js';

// Every server is a process that compiles its TypeScript first.
vi.setConfig({ testTimeout: 90_000 });

async function directory(): Promise<string> {
  const { path, remove } = await makeServerDirectory();
  onTestFinished(remove);
  return path;
}

/** One line of the console without its time and level. */
const sentenceOf = (stderr: string) => stderr.trim().replace(/^[\d-]+ [\d:]+ CRITICAL +/, '');

describe('a server that cannot start', () => {
  it.each([
    [
      'a PORT that is none',
      { PORT: '99999' },
      /^The environment is not valid: PORT must be a port from 0 to 65535\.$/,
    ],
    [
      'a data directory below a file',
      { MEMORY_PATH: 'file/data' },
      /^The data directory .*file\/data cannot be written \(\w+\)\. Set MEMORY_PATH/,
    ],
    [
      'a log file below a file',
      { LOG_FILE: 'file/chat.log' },
      /^The log file .*file\/chat\.log cannot be written \(\w+\)\. Set LOG_FILE/,
    ],
    [
      'a HOST of another machine',
      { HOST: '192.0.2.1' },
      /^HOST is 192\.0\.2\.1, which is not an address of this machine\./,
    ],
  ])('ends with code 1 and one sentence: %s', async (_, env, sentence) => {
    const path = await directory();
    await writeFile(join(path, 'file'), '');
    const { code, stderr } = await runServer(path, env);
    expect(sentenceOf(stderr)).toMatch(sentence);
    expect(stderr.trim()).not.toContain('\n');
    expect(code).toBe(1);
  });

  it('ends with code 1 and one sentence: a port in use', async () => {
    const path = await directory();
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const { code, stderr } = await runServer(path, { PORT: String(port) });
    expect(sentenceOf(stderr)).toBe(
      `Port ${port} on localhost is already in use. Stop the other program, or set PORT to a free port.`,
    );
    expect(code).toBe(1);
    expect(await readLog(path)).toContain('CRITICAL');
    // What was already opened must not keep the process alive.
    const withRedis = await runServer(path, { PORT: String(port), REDIS_URL: 'redis://127.0.0.1:9' });
    expect(withRedis).toMatchObject({ code: 1, stderr: expect.stringContaining('is already in use') });
  });
});

describe('a server whose memory cannot be reached', () => {
  it('logs it at once, and goes on serving', async () => {
    const env = { MEMORY: 'chroma', CHROMA_URL: 'http://127.0.0.1:1' };
    const server = await startServer(await directory(), env);
    onTestFinished(() => server.signal('SIGKILL'));
    await server.shows('Questions fail until memory can be used:');
    const response = await fetch(`${server.url}/infer`, { method: 'POST', body: question('Hello', 's') });
    expect(response.status).toBe(503);
    expect((await fetch(`${server.url}/`)).status).toBe(200);
    expect((await fetch(`${server.url}/health`)).status).toBe(503);
    expect((await server.stop()).code).toBe(0);
  });
});

describe('a server with an outbox', () => {
  it('keeps turns on disk while Chroma is down, also after a restart', async () => {
    await using chroma = await startChromaStub(({ path }) =>
      path.endsWith('/add') ? { status: 503, body: { error: 'Unavailable', message: 'full' } } : undefined,
    );
    const env = { MEMORY: 'chroma', CHROMA_URL: chroma.url, CHROMA_OUTBOX: 'on' };
    const path = await directory();
    for (const prompts of [['Hello'], ['Hello', 'Again']]) {
      const server = await startServer(path, env);
      onTestFinished(() => server.signal('SIGKILL'));
      const body = question(prompts.at(-1) ?? '', 's');
      expect((await fetch(`${server.url}/infer`, { method: 'POST', body })).status).toBe(200);
      const { turns } = (await (await fetch(`${server.url}/sessions/s`)).json()) as { turns: object[] };
      expect(turns).toMatchObject(prompts.map((prompt) => ({ prompt })));
      await server.stop();
    }
    expect(await readdir(join(path, '.multimodal-chat'))).toContain('outbox.sqlite');
  });
});

describe('a server that others can reach', () => {
  it('logs a warning unless it requires a token', async () => {
    const open = await startServer(await directory(), { HOST: '0.0.0.0' });
    expect(open.output()).toMatch(
      /WARNING +This server is OPEN: HOST is 0\.0\.0\.0 and API_TOKEN is not set/,
    );
    await open.stop();
    const guarded = await startServer(await directory(), {
      HOST: '0.0.0.0',
      API_TOKEN: 'a-long-enough-token-0123456789',
    });
    expect(guarded.output()).not.toContain('OPEN');
    await guarded.stop();
  });
});

describe('a server that gets a stop signal', () => {
  /** A server in the middle of an answer that takes a while, and a reader of that answer. */
  async function serverWithRunningAnswer(chunkDelayMs: number) {
    const emulator = await startGeminiEmulator({
      chunks: 8,
      chunkDelayMs,
      answer: 'one two three four five six seven eight',
    });
    onTestFinished(() => emulator.close());
    const server = await startServer(await directory(), {
      GEMINI_API_KEY: 'some-key-0123456789',
      GOOGLE_GEMINI_BASE_URL: emulator.url,
    });
    onTestFinished(() => server.signal('SIGKILL'));
    const headers = { accept: 'text/event-stream' };
    const response = await fetch(`${server.url}/infer`, {
      method: 'POST',
      body: question('Count', 's'),
      headers,
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    let text = '';
    const readUntil = async (end: string) => {
      while (!text.includes(end)) {
        const { done, value } = await reader.read();
        if (done) break;
        text += decoder.decode(value, { stream: true });
      }
      return text;
    };
    await readUntil('event: text');
    return { server, readUntil };
  }

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'lets the running answer finish on %s and takes no new ones',
    async (signal) => {
      const { server, readUntil } = await serverWithRunningAnswer(100);
      server.signal(signal);
      await server.shows('no new requests');
      await expect(fetch(`${server.url}/health`)).rejects.toThrow('fetch failed');
      expect(await readUntil('event: done')).toContain(
        '"response":"one two three four five six seven eight"',
      );
      expect((await server.exited).code).toBe(0);
      expect(server.output()).toContain('stopped');
    },
  );

  it('exits at once on a second signal', async () => {
    const { server } = await serverWithRunningAnswer(60_000);
    server.signal('SIGTERM');
    await server.shows('no new requests');
    // A terminal and npm may both pass on the same Ctrl-C, so only a later signal counts as the second.
    const again = setInterval(() => server.signal('SIGTERM'), 50);
    onTestFinished(() => clearInterval(again));
    expect((await server.exited).code).toBe(1);
    expect(server.output()).not.toContain('cut off');
  });
});
