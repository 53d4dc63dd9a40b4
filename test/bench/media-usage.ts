import { readdirSync, readFileSync } from 'node:fs';

export interface MediaUsage {
  /** Of this process and of every process that it started and that has ended. */
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  /** Highest sum over this process and its children, looked at 50 times a second. */
  readonly peakRssMb: number;
  /** The same before the work. */
  readonly idleRssMb: number;
}

const ticksPerSecond = 100;

/** User and system time of the children that have ended, from Linux; Node itself counts only its own. */
function childrenCpuSeconds(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
}

function rssMb(pid: number | string): number {
  try {
    const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
    );
    return Number(kilobytes ?? 0) / 1024 + children.reduce((sum, child) => sum + rssMb(child), 0);
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
