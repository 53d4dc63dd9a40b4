import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Child } from './child.js';
import { startCommand, startCompiled } from './child.js';
import type { Contestant } from './contestants.js';
import { aiSdk, inferService, ours, rawClient } from './contestants.js';
import { median, quantile, rounded } from './statistics.js';

const quick = process.argv.includes('--quick');
const json = process.argv.includes('--json');
const calls = quick ? 60 : 400;
const warmUps = quick ? 20 : 100;
const rounds = quick ? 3 : 9;
const callsPerRound = quick ? 64 : 256;
const inFlight = 16;

const say = (line: string) => process.stderr.write(`${line}\n`);

/** Debian's interpreter, which sees Debian's packages. */
const python = process.env.PYTHON ?? '/usr/bin/python3';

function installedVersion(name: string): string {
  const manifest = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

interface Latency {
  readonly firstMs: number[];
  readonly totalMs: number[];
}

async function timed(contestant: Contestant): Promise<{ firstMs: number; totalMs: number }> {
  const startedAt = performance.now();
  let firstMs = Number.NaN;
  await contestant.ask(() => {
    firstMs = performance.now() - startedAt;
  });
  return { firstMs, totalMs: performance.now() - startedAt };
}

/** One call at a time, the contestants in turn, so that a drift of the machine hits all alike. */
async function measureLatency(contestants: readonly Contestant[]): Promise<Map<Contestant, Latency>> {
  const found = new Map(contestants.map((one) => [one, { firstMs: [], totalMs: [] } as Latency]));
  for (let call = -warmUps; call < calls; call += 1) {
    for (const [contestant, latency] of found) {
      const { firstMs, totalMs } = await timed(contestant);
      if (call < 0) continue;
      latency.firstMs.push(firstMs);
      latency.totalMs.push(totalMs);
    }
  }
  return found;
}

async function requestsPerSecond(contestant: Contestant): Promise<number> {
  let left = callsPerRound;
  const work = async () => {
    while (left-- > 0) await contestant.ask(() => undefined);
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: inFlight }, work));
  return callsPerRound / ((performance.now() - startedAt) / 1000);
}

/** Rounds in turn; the first is a warm-up. */
async function measureThroughput(contestants: readonly Contestant[]): Promise<Map<Contestant, number[]>> {
  const found = new Map(contestants.map((one) => [one, [] as number[]]));
  for (let round = -1; round < rounds; round += 1) {
    for (const [contestant, rates] of found) {
      const rate = await requestsPerSecond(contestant);
      if (round >= 0) rates.push(rate);
    }
  }
  return found;
}

async function startFastApi(baseUrl: string): Promise<Child | undefined> {
  try {
    execFileSync(python, ['-c', 'import fastapi, uvicorn, httpx, multipart'], { stdio: 'ignore' });
  } catch {
    say(
      'SKIPPED: the FastAPI baseline. Get it with: apt-get install python3-fastapi python3-uvicorn python3-httpx python3-multipart',
    );
    return undefined;
  }
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const port = '18423';
  const parameters = [
    '-m',
    'uvicorn',
    'fastapi_service:app',
    '--app-dir',
    folder,
    '--port',
    port,
    '--log-level',
    'warning',
    '--timeout-keep-alive',
    '120',
  ];
  return startCommand(python, parameters, `http://127.0.0.1:${port}`, {
    GOOGLE_GEMINI_BASE_URL: baseUrl,
    GEMINI_API_KEY: 'bench-key-0001',
    PYTHONDONTWRITEBYTECODE: '1',
  });
}

async function main(): Promise<void> {
  const children: Child[] = [];
  const dataDir = await mkdtemp(join(tmpdir(), 'bench-overhead-'));
  const start = async (starting: Promise<Child | undefined>) => {
    const child = await starting;
    if (child) children.push(child);
    return child?.url;
  };
  try {
    const baseUrl = (await start(startCompiled('./emulator-process.ts'))) as string;
    const env = { GOOGLE_GEMINI_BASE_URL: baseUrl, GEMINI_API_KEY: 'bench-key-0001', NODE_ENV: 'production' };
    const inferOff = (await start(startCompiled('./infer-server.ts', env))) as string;
    const inferOn = (await start(
      startCompiled('./infer-server.ts', { ...env, BENCH_MEMORY: 'on' }),
    )) as string;
    const fastApi = await start(startFastApi(baseUrl));

    const raw = rawClient(baseUrl);
    const inProcess = [
      raw,
      ours(baseUrl, false),
      ours(baseUrl, false, true),
      ours(baseUrl, dataDir),
      await aiSdk(baseUrl),
    ];
    const services = [
      inferService('POST /infer (SSE), memory off', inferOff, true),
      inferService('POST /infer (SSE), memory on', inferOn, true),
    ];
    const plain = [
      inferService('POST /infer (plain), memory off', inferOff, false),
      ...(fastApi ? [inferService('FastAPI /infer (plain)', fastApi, false)] : []),
    ];

    say(`1 in flight: ${calls} calls each, in turn`);
    const latency = await measureLatency([...inProcess, ...services, ...plain]);
    say(`${inFlight} in flight: ${rounds} rounds of ${callsPerRound} calls each, in turn`);
    const throughput = await measureThroughput([...inProcess, ...services, ...plain]);

    const rawFirst = latency.get(raw)?.firstMs ?? [];
    const rawRates = throughput.get(raw) ?? [];
    const results = [...latency].map(([contestant, { firstMs, totalMs }]) => {
      const rates = throughput.get(contestant) ?? [];
      return {
        contestant: contestant.name,
        firstTokenP50Ms: rounded(median(firstMs)),
        firstTokenP90Ms: rounded(quantile(firstMs, 0.9)),
        totalP50Ms: rounded(median(totalMs)),
        firstTokenOverRawP50Ms: rounded(median(firstMs.map((value, call) => value - (rawFirst[call] ?? 0)))),
        requestsPerSecond: rounded(median(rates), 1),
        throughputToRaw: rounded(median(rates.map((rate, round) => rate / (rawRates[round] ?? 1)))),
      };
    });
    const rateOf = (name: string) => results.find(({ contestant }) => contestant === name)?.requestsPerSecond;
    const [ourRate, theirRate] = [
      rateOf('POST /infer (plain), memory off'),
      rateOf('FastAPI /infer (plain)'),
    ];
    const report = {
      bench: 'overhead',
      node: process.version,
      genai: installedVersion('@google/genai'),
      inFlight,
      results,
      inferToFastApi: ourRate && theirRate ? rounded(ourRate / theirRate, 2) : null,
    };
    if (json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else {
      console.table(results);
      console.log(`POST /infer to FastAPI, requests per second: ${report.inferToFastApi ?? 'skipped'}`);
    }
    await Promise.all([...latency.keys()].map((contestant) => contestant.close()));
  } finally {
    for (const child of children) child.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

await main();
