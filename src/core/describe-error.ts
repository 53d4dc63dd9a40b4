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
  const causes: string[] = [];
  let cause: unknown = error.cause;
  while (cause !== undefined && causes.length < shownCauses) {
    const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    const line = text.replace(/\s+/g, ' ').slice(0, longestLine);
    const isNews = !(cause instanceof Error && error.message.includes(cause.message));
    if (isNews && !causes.includes(line)) causes.push(line);
    cause =
      cause instanceof AggregateError ? cause.errors[0] : cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}
