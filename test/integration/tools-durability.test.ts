import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EmbeddedMemoryStore } from 'multimodal-chat';
import type { RecordedCall } from 'multimodal-chat/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { callPart } from '../../src/testing/gemini-emulator/answer/answer-parts.js';
import { createStarter } from '../support/emulated-gemini.js';

/** `TOOL_TURNS=200 TOOL_KILLS=20` for the long run. */
const turns = Number(process.env.TOOL_TURNS ?? 24);
const kills = Number(process.env.TOOL_KILLS ?? 4);
const script = fileURLToPath(new URL('../support/tool-turns-process.ts', import.meta.url));
const names = ['one', 'two', 'three'];

const { start, closeAll } = createStarter();
afterEach(closeAll);

interface AnsweredTurn {
  readonly turn: number;
  readonly text: string;
  readonly failed: readonly string[];
}

/** Calls three tools at once, and answers when their results are there. */
function answer({ body }: RecordedCall) {
  const { contents } = body as {
    contents: readonly { parts: readonly { text?: string; functionResponse?: unknown }[] }[];
  };
  const parts = contents.at(-1)?.parts ?? [];
  if (parts.some(({ functionResponse }) => functionResponse !== undefined)) return 'All have run.';
  const turn = /Turn (\d+)/.exec(parts.map(({ text }) => text ?? '').join())?.[1];
  return { parts: names.map((name) => callPart(name, {}, { id: `${turn}-${name}` })) };
}

describe('tool calls', () => {
  it('run at most once, whatever ends the process or breaks the connection', {
    timeout: 300_000,
  }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tools-durability-'));
    try {
      const { emulator } = await start({
        ...{ answer, journal: false, signatures: 'project' },
        chaos: {
          seed: 7,
          rates: {
            'reset-mid-body': 0.06,
            overloaded: 0.06,
            'no-finish': 0.04,
            'reset-before-headers': 0.04,
            'rate-limit-bare': 0.03,
          },
        },
      });
      const answered = new Map<number, AnsweredTurn>();
      for (let killed = 0; answered.size < turns; ) {
        const child = spawn(
          process.execPath,
          ['--import', 'tsx', script, emulator.url, directory, String(answered.size), String(turns)],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        );
        let output = '';
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk;
          // At any moment of one of the next turns.
          const done = output.split('\n').length - 1;
          if (killed < kills && done >= Math.floor(turns / (kills * 1.5)))
            setTimeout(() => child.kill('SIGKILL'), Math.random() * 40);
        });
        const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
        if (signal === 'SIGKILL') killed += 1;
        else expect(code).toBe(0);
        for (const line of output.split('\n').slice(0, -1)) {
          const one = JSON.parse(line) as AnsweredTurn;
          answered.set(one.turn, one);
        }
        if (answered.size === turns) expect(killed).toBe(kills);
      }

      const runs = (await readFile(join(directory, 'runs.log'), 'utf8')).trim().split('\n');
      expect(new Set(runs).size).toBe(runs.length);
      const interrupted = [...answered.values()].flatMap(({ failed }) => failed);
      const all = Array.from({ length: turns }, (_, turn) => names.map((name) => `${turn}-${name}`)).flat();
      // What did not run is told as interrupted.
      expect(all.filter((callId) => !runs.includes(callId) && !interrupted.includes(callId))).toEqual([]);
      expect(interrupted.length).toBeLessThanOrEqual(kills * names.length);
      expect([...new Set([...answered.values()].map(({ text }) => text))]).toEqual(['All have run.']);

      await using store = new EmbeddedMemoryStore({ path: join(directory, 'memory.sqlite') });
      const { turns: stored } = await store.stats();
      expect(stored).toBe(turns);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
