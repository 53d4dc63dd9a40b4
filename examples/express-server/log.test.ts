import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigurationError } from 'multimodal-chat';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { logLevels } from './config.js';
import { createLog, formatLine, makeScrubber } from './log.js';

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'example-log-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Everything that went to the console while the test ran. */
function captureConsole(): { stdout: () => string; stderr: () => string } {
  const capture = (name: 'stdout' | 'stderr') => {
    const spy = vi.spyOn(process[name], 'write').mockReturnValue(true);
    onTestFinished(() => spy.mockRestore());
    return () => spy.mock.calls.map(([text]) => String(text)).join('');
  };
  return { stdout: capture('stdout'), stderr: capture('stderr') };
}

describe('createLog', () => {
  it.each(logLevels)('writes %s and worse to file and console', async (level) => {
    const { stdout, stderr } = captureConsole();
    const file = join(await directory(), 'deep', 'chat.log');
    const log = createLog({ level, file, secrets: [] });
    for (const method of ['debug', 'info', 'warn', 'error', 'fatal'] as const)
      log[method]('something happened');
    const written = (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).level);
    expect(written).toEqual(logLevels.slice(logLevels.indexOf(level)));
    expect(`${stdout()}${stderr()}`.trim().split('\n')).toHaveLength(written.length);
  });

  it('sends warnings and worse to the error stream', () => {
    const { stdout, stderr } = captureConsole();
    const log = createLog({ level: 'INFO', secrets: [] });
    log.info('fine');
    log.warn('careful');
    expect([stdout(), stderr()]).toEqual([
      expect.stringMatching(/INFO +fine\n$/),
      expect.stringMatching(/WARNING +careful\n$/),
    ]);
  });

  it('writes no secret, even inside errors and fields', async () => {
    const { stdout, stderr } = captureConsole();
    const file = join(await directory(), 'chat.log');
    const secret = 'AIza"quoted\\key-123456';
    const log = createLog({ level: 'DEBUG', file, secrets: [secret] });
    log.error(
      { err: new Error(`refused: ${secret}`), url: `https://x/?key=${secret}` },
      `failed with ${secret}`,
    );
    for (const text of [stdout(), stderr(), await readFile(file, 'utf8')]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain('key-123456');
    }
    expect(await readFile(file, 'utf8')).toContain('failed with ***');
  });

  it.each([
    ['a directory', ''],
    ['below a file', 'taken/chat.log'],
  ])('refuses a file that cannot be written: %s', async (_, name) => {
    const path = await directory();
    createLog({ level: 'INFO', file: join(path, 'taken'), secrets: [] });
    const make = () => createLog({ level: 'INFO', file: join(path, name), secrets: [] });
    expect(make).toThrow(ConfigurationError);
    expect(make).toThrow(/^The log file .* cannot be written \(\w+\)\. Set LOG_FILE/);
  });
});

describe('formatLine', () => {
  it('shows time, level, message and fields', () => {
    const line = {
      level: 'INFO',
      time: '2026-11-22T19:00:01.234Z',
      method: 'GET',
      ms: 3,
      note: 'two words',
      msg: 'request',
    };
    expect(formatLine(JSON.stringify(line), false)).toBe(
      '2026-11-22 19:00:01 INFO     request method=GET ms=3 note="two words"\n',
    );
  });

  it('ends with the stack of an error', () => {
    const line = {
      level: 'ERROR',
      time: '2026-11-22T19:00:01.234Z',
      msg: 'broken',
      err: { stack: 'Error: no\n    at x' },
    };
    expect(formatLine(JSON.stringify(line), false)).toMatch(/ERROR {4}broken\nError: no\n {4}at x\n$/);
  });
});

describe('makeScrubber', () => {
  it('replaces the longest secret first, and no short ones', () => {
    const scrub = makeScrubber(['secret-one', 'secret-one-and-more', 'abc']);
    expect(scrub('secret-one-and-more secret-one abc')).toBe('*** *** abc');
  });
});
