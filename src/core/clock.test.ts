import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { sleep, systemClock } from './clock.js';

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
