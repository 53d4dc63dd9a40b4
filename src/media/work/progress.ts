import type { MediaProgress } from '../../core/media.js';

/** Where each stage begins and ends on the way from 0 to 1. Reading and decoding take the time. */
const spans: Readonly<Record<MediaProgress['stage'], readonly [number, number]>> = {
  queued: [0, 0],
  reading: [0, 0.15],
  probing: [0.15, 0.2],
  decoding: [0.2, 0.85],
  encoding: [0.85, 1],
  ready: [1, 1],
};

/** Reports that a stage is `done` to a share from 0 to 1. */
export type ReportProgress = (stage: MediaProgress['stage'], done?: number) => void;

/** Reports progress of one attachment; the fraction never decreases, in any order of stages. */
export function trackProgress(
  name: string,
  listener: ((progress: MediaProgress) => void) | undefined,
): ReportProgress {
  let highest = 0;
  return (stage, done = 0) => {
    const [from, to] = spans[stage];
    highest = Math.max(highest, from + (to - from) * Math.min(1, Math.max(0, done)));
    listener?.({ name, stage, fraction: highest });
  };
}
