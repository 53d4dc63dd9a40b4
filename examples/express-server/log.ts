import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { ConfigurationError } from 'multimodal-chat';
import type { DestinationStream, Logger } from 'pino';
import { destination, multistream, pino } from 'pino';
import type { LogLevel } from './config.js';

export type Log = Logger;

const pinoLevels = {
  DEBUG: 'debug',
  INFO: 'info',
  WARNING: 'warn',
  ERROR: 'error',
  CRITICAL: 'fatal',
} as const satisfies Record<LogLevel, string>;

const levelNames: Readonly<Record<string, LogLevel>> = Object.fromEntries(
  Object.entries(pinoLevels).map(([name, level]) => [level, name as LogLevel]),
);

const colors: Readonly<Record<LogLevel, number>> = {
  DEBUG: 90,
  INFO: 36,
  WARNING: 33,
  ERROR: 31,
  CRITICAL: 35,
};

/** Scrubbing shorter secrets would replace parts of ordinary words. */
const shortestScrubbed = 6;

/** Replaces every secret by `***`. */
export function makeScrubber(secrets: readonly string[]): (text: string) => string {
  const patterns = [...new Set(secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]))]
    .filter((secret) => secret.length >= shortestScrubbed)
    .sort((a, b) => b.length - a.length);
  return (text) => patterns.reduce((scrubbed, secret) => scrubbed.replaceAll(secret, '***'), text);
}

/** Formats one JSON log line for people: time, level, message, fields. */
export function formatLine(line: string, color: boolean): string {
  const { level, time, msg = '', err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const name = level as LogLevel;
  const label = name.padEnd(8);
  const shown = Object.entries(fields).map(([key, value]) =>
    typeof value === 'string' && !/[\s"]/.test(value) ? `${key}=${value}` : `${key}=${JSON.stringify(value)}`,
  );
  const stack = err as { readonly stack?: string } | undefined;
  const head = `${String(time).replace('T', ' ').slice(0, 19)} ${color ? `\u001b[${colors[name]}m${label}\u001b[0m` : label}`;
  return `${[head, msg, ...shown].join(' ')}\n${stack?.stack ? `${stack.stack}\n` : ''}`;
}

/** The console, with warnings and worse on the error stream. */
function consoleStream(
  scrub: (text: string) => string,
  out: Writable,
  problems: Writable,
): DestinationStream {
  const color = process.stdout.isTTY === true && !process.env.NO_COLOR;
  return {
    write(line) {
      const isProblem = /^\{"level":"(WARNING|ERROR|CRITICAL)"/.test(line);
      (isProblem ? problems : out).write(scrub(formatLine(line, color)));
    },
  };
}

function fileStream(scrub: (text: string) => string, path: string): DestinationStream {
  try {
    mkdirSync(dirname(path), { recursive: true });
    // Synchronous, so that the last lines before a crash are written.
    const file = destination({ dest: path, sync: true, mode: 0o600 });
    return { write: (line) => void file.write(scrub(line)) };
  } catch (error) {
    throw new ConfigurationError(
      `The log file ${path} cannot be written (${(error as NodeJS.ErrnoException).code}). Set LOG_FILE to a path in a directory that this user may write to.`,
      { cause: error },
    );
  }
}

export interface LogOptions {
  readonly level: LogLevel;
  /** File of JSON lines; `undefined` logs to the console only. */
  readonly file?: string | undefined;
  /** Replaced wherever they occur. */
  readonly secrets: readonly string[];
}

/**
 * Creates a logger for console (readable) and file (JSON lines) with the levels DEBUG, INFO, WARNING, ERROR
 * and CRITICAL; the last is pino's `fatal`.
 *
 * @throws ConfigurationError if the file cannot be written.
 */
export function createLog({ level, file, secrets }: LogOptions): Log {
  const scrub = makeScrubber(secrets);
  const streams = [consoleStream(scrub, process.stdout, process.stderr)];
  if (file !== undefined) streams.push(fileStream(scrub, file));
  return pino(
    {
      level: pinoLevels[level],
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: levelNames[label] }) },
    },
    multistream(streams.map((stream) => ({ level: 'trace', stream }))),
  );
}
