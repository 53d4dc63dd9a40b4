/** The load of `npm run bench:faults`: clients in a process of their own that check every reply. */
import { randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import { promptOf, toolPromptOf } from './faults/answer.js';
import { ask, formats, HangingError, type Question } from './faults/ask.js';
import { judge } from './faults/judge.js';
import type { Plan } from './faults/plans.js';
import { serveCalls } from './faults/worker.js';

/** One request as it ended. */
export interface Ended {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** `left`: the client hung up on purpose. */
  readonly type: 'right' | 'error' | 'wrong' | 'hanging' | 'left';
  /** Status and code of an error, or what is wrong. */
  readonly label: string;
  /** The sentence of an error. */
  readonly message?: string;
}

export interface LoadOptions {
  readonly id: string;
  readonly url: string;
  readonly plan: Plan;
  readonly inFlight: number;
  readonly limitMs: number;
}

interface Load {
  readonly records: Ended[];
  readonly workers: Promise<void>;
  stop(): void;
}

const turnsOfSession = 4;
/** Between two requests of one client, so that errors that come at once do not become a flood. */
const pauseMs = 15;
/** Every so many requests the client hangs up in the middle of the answer. */
const leavesEvery = 40;

const loads = new Map<string, Load>();
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function until(isReached: () => boolean, withinMs: number): Promise<void> {
  for (const startedAt = Date.now(); !isReached() && Date.now() - startedAt < withinMs; ) await pause(20);
}

async function ends(question: Question, options: LoadOptions, agent: Agent, leavesEarly: boolean) {
  try {
    const reply = await ask(question, { url: options.url, agent, limitMs: options.limitMs, leavesEarly });
    if (reply === undefined) return { type: 'left', label: '' } as const;
    const verdict = judge(question, reply, options.plan);
    if (verdict.type === 'right') return { ...verdict, label: '' };
    if (verdict.type === 'error') return verdict;
    return { type: 'wrong', label: `The ${question.format} reply ${verdict.why}` } as const;
  } catch (error) {
    if (error instanceof HangingError) return { type: 'hanging', label: question.format } as const;
    return { type: 'wrong', label: `The ${question.format} reply broke off: ${String(error)}` } as const;
  }
}

function start(options: LoadOptions): Load {
  const { inFlight, plan } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
  const records: Ended[] = [];
  let isStopped = false;
  let asked = 0;
  const work = async (client: number) => {
    let sessionId = '';
    for (let turn = client; !isStopped; turn += 1) {
      // Ten megabytes are no history to send along.
      if (sessionId === '' || turn % turnsOfSession === 0 || plan.form === 'big') sessionId = randomUUID();
      const format = formats[turn % formats.length] ?? 'text/plain';
      // Faults that make something else of a text have nothing to change in a call.
      const isPlain = plan.form !== undefined || asked % 2 === 0;
      const prompt = (isPlain ? promptOf : toolPromptOf)(randomUUID());
      const question = { prompt, sessionId, format };
      asked += 1;
      const leavesEarly = asked % leavesEvery === 0 && format === 'text/event-stream';
      const startedAt = Date.now();
      const end = await ends(question, options, agent, leavesEarly);
      records.push({ startedAt, endedAt: Date.now(), ...end });
      await pause(pauseMs);
    }
  };
  const workers = Promise.all(Array.from({ length: inFlight }, (_, client) => work(client)));
  return {
    records,
    workers: workers.then(() => agent.destroy()),
    stop: () => {
      isStopped = true;
    },
  };
}

function find(id: string): Load {
  const load = loads.get(id);
  if (!load) throw new Error(`There is no load ${id}.`);
  return load;
}

const calls = {
  async start(options: LoadOptions): Promise<void> {
    loads.set(options.id, start(options));
  },
  /** Waits for a right answer at `since` or later. */
  async answered({ id, since, withinMs }: { id: string; since: number; withinMs: number }): Promise<void> {
    const { records } = find(id);
    await until(() => records.some(({ type, endedAt }) => type === 'right' && endedAt >= since), withinMs);
  },
  /** Waits for so many requests that were begun at `since` or later to end. */
  async ended(options: { id: string; since: number; count: number; withinMs: number }): Promise<void> {
    const { records } = find(options.id);
    const isReached = () =>
      records.filter(({ startedAt }) => startedAt >= options.since).length >= options.count;
    await until(isReached, options.withinMs);
  },
  /** Lets what is on its way end. */
  async stop(id: string): Promise<readonly Ended[]> {
    const load = find(id);
    load.stop();
    await load.workers;
    loads.delete(id);
    return load.records;
  },
};

export type LoadCalls = typeof calls;

serveCalls(calls);
