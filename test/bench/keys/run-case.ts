import { MultimodalChat } from '../../../src/chat/multimodal-chat.js';
import { ModelCallError, MultimodalChatError } from '../../../src/core/errors.js';
import { VirtualClock } from '../../../src/testing/virtual-clock.js';
import { exponential, logNormal, seededRandom } from '../../support/seeded-random.js';
import { quantile, rounded } from '../statistics.js';
import { callsPerMinute, dayParts } from './ceiling.js';
import { policies } from './policies.js';
import { modelName, QuotaModel } from './quota-model.js';
import { openSharedLedger } from './redis-ledger.js';
import type { Bench, BenchCase, Scenario } from './scenario.js';

const minuteMs = 60_000;
/** Each case draws from so many streams of random numbers at most. */
const seedsPerCase = 1_000;
const promptTokensBesideText = 4;
const padding = 'word '.repeat(20_000);
/** Within which an interactive call has to be answered. */
const soonMs = 20_000;
/** Calls that a fault delays come this long after it. */
const aftermathMs = 60_000;

/** What one run showed. Waits are in milliseconds, shares from 0 to 1. */
export interface BenchRow {
  readonly policy: string;
  readonly window: string;
  readonly load: number;
  readonly scenario: string;
  readonly seed: number;
  /** Answers, as a part of what was asked for or possible, the smaller one. */
  readonly goodput: number;
  readonly rejectionsPerSuccess: number;
  /** Between asking and the start of the attempt that was answered. */
  readonly waitP50: number;
  readonly waitP99: number;
  readonly userFailures: number;
  readonly callsPerOffered: number;
  /** The same from the start of a fault of limited time to a minute after it. */
  readonly callsPerOfferedInFault?: number;
  readonly failuresByCode: Readonly<Record<string, number>>;
  /** The most that one project refused for its daily quota. */
  readonly dailyRefusalsPerProject?: number;
  /** Per class of traffic: the share answered at all, and whole within 20 s. */
  readonly classes?: Readonly<Record<string, { answered: number; within20s: number }>>;
  readonly elapsedMs: number;
}

interface ClassCount {
  offered: number;
  answered: number;
  soon: number;
}

/** A prompt of about `estimatedTokens` that carries its true size. */
function promptOf(inputTokens: number, estimatedTokens: number): string {
  const head = `${inputTokens} `;
  const length = Math.max(0, 4 * (estimatedTokens - promptTokensBesideText) - head.length);
  return head + padding.slice(0, length);
}

/** How much traffic there is at `elapsedMs`, as a part of the mean. */
function intensity(bursts: Scenario['bursts'], elapsedMs: number): number {
  if (bursts === undefined) return 1;
  const { everyMs, factor, lastsMs } = bursts;
  if (elapsedMs % everyMs < lastsMs) return factor;
  return (everyMs - factor * lastsMs) / (everyMs - lastsMs);
}

/** Minutes of Poisson traffic through the real chat, in virtual time. Nothing where the case wants a Redis and there is none. */
export async function runCase(bench: Bench, benchCase: BenchCase): Promise<BenchRow | undefined> {
  const { load, minutes, policy, scenario, seed, window } = benchCase;
  const { bursts, faults } = scenario;
  const beganAt = performance.now();
  const clock = new VirtualClock(scenario.startsAt ? Date.parse(scenario.startsAt) : undefined);
  const projects = bench.projects[scenario.projects];
  const makePolicy = policies[policy];
  if (projects === undefined) throw new RangeError(`There are no projects "${scenario.projects}".`);
  if (makePolicy === undefined) throw new RangeError(`There is no policy "${policy}".`);

  const random = seededRandom(seed);
  const limits = projects.map(({ id, limits: { rpm, tpm, rpd } }) => ({
    project: id,
    rpm: Math.round(rpm * scenario.limitsFactor),
    tpm: Math.round(tpm * scenario.limitsFactor),
    ...(rpd === undefined ? {} : { rpd: Math.round(rpd * scenario.limitsFactor) }),
  }));
  const ledger = scenario.redisProcesses === undefined ? undefined : await openSharedLedger(clock);
  if (scenario.redisProcesses !== undefined && ledger === undefined) return undefined;
  const processes = Array.from({ length: scenario.redisProcesses ?? 1 }, (_, process) =>
    makePolicy({
      clock,
      random: seededRandom(seed + 1 + process * seedsPerCase),
      projects,
      limits,
      openPool: ledger?.openPool,
    }),
  );
  const reinterpret = processes[0]?.reinterpret;
  const model = new QuotaModel({
    clock,
    random: seededRandom(seed + 2),
    window,
    projects,
    faults,
    reinterpret,
  });
  const timeouts = { callMs: bench.timeoutMs };
  const chats = processes.map(
    ({ keyPool, retry }) => new MultimodalChat({ keyPool, retry, model, memory: false, clock, timeouts }),
  );

  const startsAt = clock.now();
  const endsAt = startsAt + minutes * minuteMs;
  const { meanTokens } = bench;
  const days = dayParts(projects, meanTokens, faults.foreignShare, startsAt, endsAt);
  const offeredAt: number[] = [];
  const waits: number[] = [];
  const failuresByCode: Record<string, number> = {};
  const counts = new Map<string, ClassCount>();
  let inTime = 0;

  const ask = async (kind: Scenario['classes'][number], count: ClassCount) => {
    const inputTokens = Math.ceil(logNormal(random, meanTokens / Math.exp(0.125), 0.5));
    const estimatedTokens = Math.ceil(inputTokens * (0.8 + 0.4 * random()));
    const askedAt = clock.now();
    // The processes are asked in turn.
    const chat = chats[offeredAt.length % chats.length] as MultimodalChat;
    offeredAt.push(askedAt);
    count.offered += 1;
    const day = days.find((part) => askedAt < part.endsAt);
    if (day !== undefined) day.offered += 1;
    try {
      const { tenant, priority } = kind;
      const prompt = promptOf(inputTokens, estimatedTokens);
      const reply = await chat.send({ prompt, tenant, priority, model: modelName });
      const startAt = reply.attempts.at(-1)?.startedAt ?? askedAt;
      waits.push(startAt - askedAt);
      count.answered += 1;
      if (clock.now() - askedAt <= soonMs) count.soon += 1;
      if (startAt <= endsAt) inTime += 1;
    } catch (error) {
      if (!MultimodalChatError.isInstance(error)) throw error;
      const code = ModelCallError.isInstance(error) ? `MODEL:${error.failure.kind}` : error.code;
      failuresByCode[code] = (failuresByCode[code] ?? 0) + 1;
    }
  };

  const perMs = callsPerMinute(projects, meanTokens, faults.foreignShare) / minuteMs;
  const running = new Set<Promise<void>>();
  for (const kind of scenario.classes) {
    const count: ClassCount = { offered: 0, answered: 0, soon: 0 };
    counts.set(kind.tenant, count);
    const gapMs = () =>
      exponential(random, 1 / (load * kind.share * perMs * intensity(bursts, clock.now() - startsAt)));
    const arrive = () => {
      if (clock.now() >= endsAt) return;
      const asked = ask(kind, count);
      running.add(asked);
      asked.finally(() => running.delete(asked));
      clock.setTimeout(arrive, gapMs());
    };
    clock.setTimeout(arrive, gapMs());
  }
  await clock.advance(minutes * minuteMs);
  await clock.runUntil(Promise.all(running));
  await clock.runUntil(Promise.all(chats.map((chat) => chat.close())));
  await clock.runUntil(Promise.all(processes.map(({ keyPool }) => keyPool.close())));
  await ledger?.close();

  const offered = offeredAt.length;
  const answered = waits.length;
  const isOverloaded = days.some((day) => day.offered > day.ceiling);
  const possible = days.reduce((sum, day) => sum + Math.min(day.offered, day.ceiling), 0);
  const fault = faults.outage ?? faults.exhausted;
  const inFault = (times: readonly number[]) =>
    times.filter(
      (at) => at - startsAt >= (fault?.fromMs ?? 0) && at - startsAt < (fault?.toMs ?? 0) + aftermathMs,
    ).length;
  return {
    policy,
    window,
    load,
    scenario: scenario.name,
    seed,
    goodput: rounded((isOverloaded ? inTime : answered) / possible, 4),
    rejectionsPerSuccess: rounded(model.rejections / answered, 5),
    waitP50: rounded(quantile(waits, 0.5), 0),
    waitP99: rounded(quantile(waits, 0.99), 0),
    userFailures: rounded((offered - answered) / offered, 5),
    callsPerOffered: rounded(model.calledAt.length / offered, 4),
    ...(fault && { callsPerOfferedInFault: rounded(inFault(model.calledAt) / inFault(offeredAt), 3) }),
    failuresByCode,
    ...(projects.some((project) => project.limits.rpd !== undefined) && {
      dailyRefusalsPerProject: Math.max(0, ...model.dailyRefusals.values()),
    }),
    ...(scenario.classes.length > 1 && {
      classes: Object.fromEntries(
        [...counts].map(([tenant, count]) => [
          tenant,
          {
            answered: rounded(count.answered / count.offered, 4),
            within20s: rounded(count.soon / count.offered, 4),
          },
        ]),
      ),
    }),
    elapsedMs: Math.round(performance.now() - beganAt),
  };
}
