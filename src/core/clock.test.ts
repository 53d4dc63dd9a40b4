import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { sleep, systemClock, wallTime } from './clock.js';

const clockFile = fileURLToPath(new URL('./clock.ts', import.meta.url));

function runScript(script: string): string {
  const code = `import { sleep, systemClock } from ${JSON.stringify(clockFile)};\n${script}`;
  const { stdout, status } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', code],
    { encoding: 'utf8' },
  );
  return `${stdout.trim()} ${status}`;
}

describe('systemClock', () => {
  it('keeps the process alive while a timer runs', () => {
    expect(runScript("await sleep(systemClock, 20); console.log('woke')")).toBe('woke 0');
  });

  it('does not keep the process alive for a background timer', () => {
    const script = "systemClock.setTimeout(() => console.log('late'), 60_000, { isBackground: true })";
    expect(runScript(script)).toBe(' 0');
  });

  it.each([-86_400_000, 86_400_000])('does not jump when the date is set by %i ms', (jumpMs) => {
    const before = systemClock.now();
    const date = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + jumpMs);
    try {
      expect(Math.abs(systemClock.now() - before)).toBeLessThan(3_600_000);
      expect(Math.abs(wallTime(systemClock) - before)).toBeGreaterThan(3_600_000);
    } finally {
      date.mockRestore();
    }
  });
});

describe('wallTime', () => {
  it('is the time of a clock that knows no date', () => {
    const { clearTimeout, setTimeout } = systemClock;
    expect(wallTime({ now: () => 42, setTimeout, clearTimeout })).toBe(42);
  });
});

describe('sleep', () => {
  it('rejects with the reason of an abort, before and during the wait', async () => {
    const controller = new AbortController();
    const sleeping = sleep(systemClock, 60_000, controller.signal);
    controller.abort('enough');
    await expect(sleeping).rejects.toBe('enough');
    await expect(sleep(systemClock, 60_000, controller.signal)).rejects.toBe('enough');
  });
});
