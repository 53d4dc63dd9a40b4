import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChromaMemoryStore, ChromaStartError, startChromaServer } from '../../src/chroma.js';
import { makeTurn } from '../../src/testing/contracts/memory-store-contract.js';
import { runnableHere, startChromaServer as startForTests } from '../support/chroma-server.js';

const conversation = { tenant: 'tenant', sessionId: 'session' };
const owner = fileURLToPath(new URL('../support/chroma-server-owner.ts', import.meta.url));
/** Loads what the command needs, or reports loudly why it cannot run here. */
const trial = await startForTests();
await trial?.stop();

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'multimodal-chat-managed-'));
});
afterAll(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));

const answers = (url: string): Promise<boolean> =>
  fetch(`${url}/api/v2/heartbeat`, { signal: AbortSignal.timeout(1_000) }).then(
    ({ ok }) => ok,
    () => false,
  );

/** Returns the error of a start that fails. */
async function failure(options: Parameters<typeof startChromaServer>[0]): Promise<ChromaStartError> {
  const error = await startChromaServer(options).then(
    (server) => server.close(),
    (reason: unknown) => reason,
  );
  if (!ChromaStartError.isInstance(error)) throw new Error(`Not a ChromaStartError: ${error}`);
  return error;
}

const node = (script: string) => [process.execPath, '-e', script, '--'];

describe('The server that chromadb ships', () => {
  it('runs, or rejects with advice if the system is too old', async () => {
    const { header } = process.report.getReport() as unknown as {
      header: { glibcVersionRuntime?: string };
    };
    const [, minor = 0] = (header.glibcVersionRuntime ?? '').split('.').map(Number);
    const path = join(directory, 'shipped');
    if (process.platform === 'linux' && minor < 39) {
      const error = await failure({ path });
      expect(error.reason).toBe('unsupported');
      expect(error.message).toMatch(/needs glibc 2\.39 or newer; this system is linux .* Use a newer system/);
    } else {
      await using server = await startChromaServer({ path });
      expect(await answers(server.url)).toBe(true);
    }
  });
});

describe.skipIf(!trial)('A managed Chroma server', () => {
  it('serves a store, stops, and has its data when it is started again', async () => {
    const path = join(directory, 'kept', 'below');
    const urls: string[] = [];
    for (const expected of [1, 2]) {
      await using server = await startChromaServer({ path, command: runnableHere });
      urls.push(server.url);
      await using store = new ChromaMemoryStore({ url: server.url });
      await store.append(makeTurn());
      expect(await store.recent(conversation, { limit: 9 })).toHaveLength(expected);
    }
    for (const url of urls) expect(await answers(url)).toBe(false);
  });

  it.each([
    ['ends without closing it', 'end'],
    ['is killed', 'wait'],
  ])('ends when its process %s', async (_, then) => {
    const process_ = spawn(process.execPath, ['--import', 'tsx', owner, join(directory, then), then], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(process_, 'close');
    const [line] = (await once(process_.stdout, 'data')) as [Buffer];
    const url = line.toString().trim();
    expect(url).toMatch(/^http:/);
    if (then === 'wait') process_.kill('SIGKILL');
    await ended;
    await expect.poll(() => answers(url), { timeout: 10_000 }).toBe(false);
  });
});

describe('startChromaServer, if the server cannot start,', () => {
  it('names the port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const error = await failure({ path: directory, port, command: node('') });
    other.close();
    expect(error).toMatchObject({ reason: 'port-taken', code: 'CHROMA_START_PORT_TAKEN' });
    expect(error.message).toContain(String(port));
  });

  it('quotes the last output of a crashed server', async () => {
    const command = node('console.error("the disk is on fire"); process.exit(3)');
    const error = await failure({ path: directory, command });
    expect(error.reason).toBe('crashed');
    expect(error.message).toMatch(/ended with code 3 .*the disk is on fire/s);
  });

  it('explains that the command does not exist', async () => {
    const error = await failure({ path: directory, command: ['/no/such/program'] });
    expect(error.message).toMatch(/ENOENT/);
  });

  it('stops a server that does not answer in time, even if it ignores SIGTERM', async () => {
    const command = node(
      'process.on("SIGTERM", () => {}); console.error(process.pid); setInterval(() => {}, 1000)',
    );
    const error = await failure({ path: directory, command, timeoutMs: 1_500 });
    expect(error.reason).toBe('timeout');
    const pid = Number(/(\d+)\s*$/.exec(error.message)?.[1]);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  it('stops the server if the signal aborts', async () => {
    const abort = new AbortController();
    const command = node('setInterval(() => {}, 1000)');
    const start = startChromaServer({ path: directory, command, signal: abort.signal });
    abort.abort(new Error('gone'));
    await expect(start).rejects.toThrow('gone');
  });
});
