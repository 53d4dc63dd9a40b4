import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { faultNames } from 'multimodal-chat/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report, Row } from '../bench/faults/summary.js';

const repository = fileURLToPath(new URL('../..', import.meta.url));
/** Takes a minute, or several times that on a busy machine. */
const timeout = 600_000;
let running: ChildProcess | undefined;

/** Emulator, server and load, each in its own process; all faults, briefly. */
async function runBench(): Promise<{ code: number | null; report: Report }> {
  const args = ['--import', 'tsx', 'test/bench/faults.ts', '--json', '--quick'];
  const child = spawn(process.execPath, args, { cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] });
  running = child;
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (output === '') throw new Error(`The bench ended with ${code} and without a report:\n${errors}`);
  return { code, report: JSON.parse(output) as Report };
}

describe('the server under load, with every fault of the emulator', () => {
  let code: number | null;
  let report: Report;
  beforeAll(async () => {
    ({ code, report } = await runBench());
  }, timeout);
  // Its own processes end with it.
  afterAll(() => void running?.kill('SIGKILL'));

  const rowsWith = (isBad: (row: Row) => boolean) =>
    report.rows.filter(isBad).map(({ fault, struck, examples }) => ({ fault, struck, examples }));

  it('ends every request with the right answer or a typed error that fits the fault', () => {
    expect(rowsWith(({ wrong }) => wrong > 0)).toEqual([]);
  });

  it('lets no request hang', () => {
    expect(rowsWith(({ hanging }) => hanging > 0)).toEqual([]);
  });

  it('meets each fault, on some of the calls and on all of them', () => {
    expect(new Set(report.rows.map(({ fault }) => fault))).toEqual(new Set(['none', ...faultNames]));
    expect(rowsWith(({ rightInFault }) => rightInFault === null)).toEqual([]);
  });

  it('recovers after each fault that passes', () => {
    expect(rowsWith(({ recoveryMs }) => recoveryMs === 'never')).toEqual([]);
  });

  it('routes around faults of some projects and of the first model', () => {
    const routed = ({ struck }: Row) => struck === '1 of 4 projects' || struck === 'first model';
    expect(report.rows.filter(routed).length).toBeGreaterThan(0);
    expect(rowsWith((row) => routed(row) && row.right !== row.requests)).toEqual([]);
  });

  it('leaves nothing running and emits no warning', () => {
    expect(rowsWith(({ leftInFlight }) => leftInFlight > 0)).toEqual([]);
    expect(report.server.warnings).toEqual([]);
    expect(report.server.errorOutput).toBe('');
    expect(code).toBe(0);
  });
});
