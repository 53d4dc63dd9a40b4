/** A page to show, with its time if it is a moment of an animation. */
export interface ShownPage {
  readonly page: number;
  readonly timestampMs?: number | undefined;
}

/** Browsers show frames that ask for less than 20 ms for 100 ms. */
const shortestDelayMs = 20;
const usualDelayMs = 100;

/** How long a frame is seen. */
export function shownFor(delayMs: number): number {
  return delayMs < shortestDelayMs ? usualDelayMs : delayMs;
}

/** The frames that are seen in the middles of equal slices of the loop, or all if there are no more. */
export function spreadOverLoop(delays: readonly number[], wanted: number): readonly ShownPage[] {
  const starts: number[] = [];
  let totalMs = 0;
  for (const delay of delays) {
    starts.push(totalMs);
    totalMs += delay;
  }
  if (starts.length <= wanted) return starts.map((timestampMs, page) => ({ page, timestampMs }));
  const chosen = new Set<number>();
  for (let slice = 0; slice < wanted; slice += 1) {
    const middleMs = ((slice + 0.5) * totalMs) / wanted;
    chosen.add(starts.filter((startMs) => startMs <= middleMs).length - 1);
  }
  return [...chosen].map((page) => ({ page, timestampMs: starts[page] ?? 0 }));
}
