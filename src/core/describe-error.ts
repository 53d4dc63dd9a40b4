import { inspect } from 'node:util';
import type { Attempt } from './failure.js';

const shownAttempts = 3;
const shownCauses = 5;
const longestLine = 300;

interface Describable extends Error {
  readonly code: string;
  readonly attempts?: readonly Attempt[];
}

/** An error with its stack, its attempts and its chain of causes, each in one line. */
export function describeError(error: Describable): string {
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  const lines = [`${error.name} [${error.code}]: ${error.message}`, ...frames];
  const attempts = error.attempts ?? [];
  attempts.slice(0, shownAttempts).forEach((attempt, place) => {
    lines.push(`  attempt ${place + 1}: ${describeAttempt(attempt)}`);
  });
  if (attempts.length > shownAttempts) lines.push(`  and ${attempts.length - shownAttempts} more attempts`);
  for (const cause of causesOf(error)) lines.push(`  [cause] ${cause}`);
  return lines.join('\n');
}

function describeAttempt({ durationMs, failure, keyId, model }: Attempt): string {
  const name = keyId === undefined ? model : `${model} with ${keyId}`;
  const end = [failure?.kind ?? 'answered', failure?.reason].filter(Boolean).join(' ');
  return `${name}: ${end} after ${Math.round(durationMs)} ms`;
}

/** The causes from the outside in, without those that say nothing new. */
function causesOf(error: Error): readonly string[] {
  const lines = new Set<string>();
  const seen = new Set<unknown>([undefined]);
  for (let cause = error.cause; !seen.has(cause) && lines.size < shownCauses; cause = nextCause(cause)) {
    seen.add(cause);
    const isNews = !(cause instanceof Error && error.message.includes(cause.message));
    const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : inspect(cause);
    if (isNews) lines.add(text.replace(/\s+/g, ' ').slice(0, longestLine));
  }
  return [...lines];
}

function nextCause(cause: unknown): unknown {
  if (cause instanceof AggregateError) return cause.errors[0];
  return cause instanceof Error ? cause.cause : undefined;
}
