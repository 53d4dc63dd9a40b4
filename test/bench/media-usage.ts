import { readdirSync, readFileSync } from 'node:fs';

export interface MediaUsage {
  /** Of this process and of every process that it started. */
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  /** Highest sum over this process and its children, looked at 50 times a second. */
  readonly peakRssMb: number;
  /** The same before the work. */
  readonly idleRssMb: number;
}

const ticksPerSecond = 100;

/** User and system time of all children, from Linux; Node itself counts only its own. */
function childrenCpuSeconds(): number {
  const running = childrenOf('self').reduce((sum, child) => sum + cpuTicks(child, [11, 12, 13, 14]), 0);
  return (running + cpuTicks('self', [13, 14])) / ticksPerSecond;
}

/** 11 and 12 are of the process itself, 13 and 14 of its children that have ended. */
function cpuTicks(pid: string, numbers: readonly number[]): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return numbers.reduce((sum, number) => sum + Number(fields[number]), 0);
  } catch {
    // It ended while it was looked at.
    return 0;
  }
}

function childrenOf(pid: number | string): readonly string[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
}

function rssMb(pid: number | string): number {
  try {
    const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kilobytes ?? 0) / 1024 + childrenOf(pid).reduce((sum, child) => sum + rssMb(child), 0);
  } catch {
    // It ended while it was looked at.
    return 0;
  }
}

/** What a piece of work costs. For Linux. */
export async function measureUsage<T>(work: () => Promise<T>): Promise<MediaUsage & { value: T }> {
  const idleRssMb = rssMb(process.pid);
  let peakRssMb = idleRssMb;
  const look = () => {
    peakRssMb = Math.max(peakRssMb, rssMb(process.pid));
  };
  const timer = setInterval(look, 20);
  const childrenBefore = childrenCpuSeconds();
  const before = process.cpuUsage();
  const startedAt = performance.now();
  try {
    const value = await work();
    look();
    const { user, system } = process.cpuUsage(before);
    return {
      value,
      cpuSeconds: (user + system) / 1e6 + childrenCpuSeconds() - childrenBefore,
      wallSeconds: (performance.now() - startedAt) / 1000,
      peakRssMb,
      idleRssMb,
    };
  } finally {
    clearInterval(timer);
  }
}
