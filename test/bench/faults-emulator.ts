/** The emulators of `npm run bench:faults`, one for each case, in a process of their own. */
import type { GeminiEmulator, Injection } from 'multimodal-chat/testing';
import { callPart, startGeminiEmulator } from 'multimodal-chat/testing';
import { seededRandom } from '../support/seeded-random.js';
import { answerTo, asksForTool } from './faults/answer.js';
import { models, type PlanName, projects, type Share } from './faults/plans.js';
import { serveCalls } from './faults/worker.js';

interface Case {
  readonly url: string;
  emulator: GeminiEmulator | undefined;
  /** Calls that emulators before this one had received. */
  callsBefore: number;
  /** Ends going down and coming up again. */
  endFlapping: (() => Promise<void>) | undefined;
}

export interface Strike {
  readonly id: string;
  readonly fault: PlanName;
  /** Absent: all calls. */
  readonly share?: Share | undefined;
  readonly settings: Partial<Injection>;
  readonly seed: number;
}

const cases = new Map<string, Case>();
const scriptedCalls = 40_000;
const periodMs = 1_000;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function start(port = 0): Promise<GeminiEmulator> {
  const answer: NonNullable<Parameters<typeof startGeminiEmulator>[0]>['answer'] = ({ contents, texts }) => {
    const prompt = texts.at(-1) ?? '';
    const hasResult = contents.at(-1)?.parts?.some(({ functionResponse }) => functionResponse) === true;
    return asksForTool(prompt) && !hasResult ? { parts: [callPart('note')] } : answerTo(prompt);
  };
  return startGeminiEmulator({ projects, answer, port, chunkDelayMs: 5 });
}

function find(id: string): Case {
  const found = cases.get(id);
  if (!found) throw new Error(`There is no case ${id}.`);
  return found;
}

async function goDown(one: Case): Promise<void> {
  one.callsBefore += one.emulator?.journal.length ?? 0;
  const { emulator } = one;
  one.emulator = undefined;
  await emulator?.close();
}

async function comeUp(one: Case): Promise<void> {
  one.emulator ??= await start(Number(new URL(one.url).port));
}

/** Takes the emulator down for a part of each second. */
function flap(one: Case, part: number): void {
  let isOver = false;
  const run = async () => {
    while (!isOver) {
      await goDown(one);
      await sleep(periodMs * part);
      await comeUp(one);
      await sleep(periodMs * (1 - part));
    }
  };
  const running = run();
  one.endFlapping = () => {
    isOver = true;
    return running;
  };
}

/** A seeded order of calls that are struck and calls that pass: an injection of nothing lets calls pass. */
function scriptShare(emulator: GeminiEmulator, injection: Injection, part: number, seed: number): void {
  const random = seededRandom(seed);
  const struck = Array.from({ length: scriptedCalls }, () => random() < part);
  for (let from = 0, to = 0; from < struck.length; from = to) {
    while (to < struck.length && struck[to] === struck[from]) to += 1;
    emulator.inject({ ...(struck[from] ? injection : {}), times: to - from });
  }
}

async function strike({ id, fault, share, settings, seed }: Strike): Promise<void> {
  const one = find(id);
  if (fault === 'none') return;
  if (fault === 'refuse') {
    if (share?.of !== 'time') return goDown(one);
    flap(one, share.part);
    return;
  }
  const injection: Injection = { ...settings, fault };
  const { emulator } = one;
  if (share?.of === 'calls') {
    if (emulator) scriptShare(emulator, injection, share.part, seed);
    return;
  }
  const always = { ...injection, times: Number.POSITIVE_INFINITY };
  if (share === undefined) emulator?.inject(always);
  if (share?.of === 'model') emulator?.inject({ ...always, model: models[0] });
  if (share?.of === 'project')
    for (const key of projects[0]?.keys ?? []) emulator?.inject({ ...always, key });
}

const calls = {
  async open(id: string): Promise<string> {
    const emulator = await start();
    cases.set(id, { url: emulator.url, emulator, callsBefore: 0, endFlapping: undefined });
    return emulator.url;
  },
  strike,
  async clear(id: string): Promise<void> {
    const one = find(id);
    await one.endFlapping?.();
    await comeUp(one);
    one.emulator?.clearFaults();
  },
  async received(id: string): Promise<number> {
    const { callsBefore, emulator } = find(id);
    return callsBefore + (emulator?.journal.length ?? 0);
  },
  async close(id: string): Promise<void> {
    await goDown(find(id));
    cases.delete(id);
  },
};

export type EmulatorCalls = typeof calls;

serveCalls(calls);
