const losAngeles = new Intl.DateTimeFormat('en-US', {
  timeZone: 'America/Los_Angeles',
  hourCycle: 'h23',
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
});

let known = { quarter: Number.NaN, day: '' };

/**
 * The calendar day in Los Angeles, by which Gemini counts quotas per day. Written independently of the key
 * pool's own, which it helps to test. Time zones change on quarter hours, so a look-up is kept that long.
 */
export function pacificDay(nowMs: number): string {
  const quarter = Math.floor(nowMs / 900_000);
  if (known.quarter !== quarter) known = { quarter, day: losAngeles.format(nowMs) };
  return known.day;
}
