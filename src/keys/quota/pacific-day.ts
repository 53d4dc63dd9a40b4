const hourMs = 3_600_000;

const pacificTime = new Intl.DateTimeFormat('en-US', {
  timeZone: 'America/Los_Angeles',
  hourCycle: 'h23',
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
});

/**
 * When the quota day that contains `now` ends: the next midnight in Los Angeles, where Gemini resets
 * requests per day (https://ai.google.dev/gemini-api/docs/rate-limits). Handles days of 23 and 25 hours.
 */
export function pacificDayEnd(now: number): number {
  const local = Object.fromEntries(pacificTime.formatToParts(now).map((part) => [part.type, part.value]));
  const nextDay = Date.UTC(Number(local.year), Number(local.month) - 1, Number(local.day) + 1);
  // Clocks change at 2 o'clock, so midnight exists on every day, 7 or 8 hours behind UTC.
  const inSummerTime = nextDay + 7 * hourMs;
  return pacificHour(inSummerTime) === 0 ? inSummerTime : nextDay + 8 * hourMs;
}

function pacificHour(at: number): number {
  return Number(pacificTime.formatToParts(at).find((part) => part.type === 'hour')?.value);
}
