import { ConversationIndex } from '../../src/memory/rank/conversation-index.js';
import { shippedTuning, type Tuning } from '../../src/memory/rank/tuning.js';
import { readSamples, type Sample, utteranceText, within } from './memory-locomo.js';
import { rounded } from './statistics.js';

const figureNames = ['k10', 'k20', 'chars2000', 'chars4000'] as const;
/** Sums over the questions of one conversation. */
type Figures = Record<(typeof figureNames)[number], number> & { questions: number };

const choices = {
  own: [0, 0.15, 0.3, 0.45],
  neighbors: [[1], [0.5, 0.25], [1, 0.5], [1, 0.5, 0.25]],
  named: [0, 0.1, 0.2],
  saturation: [0.6, 0.9, 1.5],
  lengthWeight: [0.2, 0.4, 0.75],
} as const;

function tunings(owns: readonly number[], nameds: readonly number[]): Tuning[] {
  const { neighbors, saturation, lengthWeight } = choices;
  // Without a share of the window its shape does not matter.
  const shapes = (own: number) => (own === 1 ? [[]] : neighbors);
  return owns.flatMap((own) =>
    shapes(own).flatMap((shape) =>
      nameds.flatMap((named) =>
        saturation.flatMap((k1) =>
          lengthWeight.map((b) => ({
            ...shippedTuning,
            own,
            neighbors: shape,
            named,
            saturation: k1,
            lengthWeight: b,
          })),
        ),
      ),
    ),
  );
}

function judge({ turns, questions }: Sample, tuning: Tuning): Figures {
  const index = new ConversationIndex({ tuning });
  const textOf = new Map<string, string>();
  for (const [at, turn] of turns.entries()) {
    const text = utteranceText(turn);
    textOf.set(turn.id, text);
    index.add(at, text);
  }
  const sums: Figures = { k10: 0, k20: 0, chars2000: 0, chars4000: 0, questions: 0 };
  for (const { question, evidence } of questions) {
    const known = evidence.filter((id) => textOf.has(id));
    if (known.length === 0) continue;
    const ranked = index.search(question, 100).map(({ sequence }) => turns[sequence]?.id ?? '');
    const share = (ids: readonly string[]) => known.filter((id) => ids.includes(id)).length / known.length;
    sums.k10 += share(ranked.slice(0, 10));
    sums.k20 += share(ranked.slice(0, 20));
    sums.chars2000 += share(within(ranked, 2_000, textOf));
    sums.chars4000 += share(within(ranked, 4_000, textOf));
    sums.questions++;
  }
  return sums;
}

/** Percent, over all questions of these conversations. */
function average(figures: readonly Figures[]) {
  const questions = figures.reduce((sum, each) => sum + each.questions, 0);
  return Object.fromEntries(
    figureNames.map((name) => [
      name,
      rounded((100 * figures.reduce((sum, each) => sum + each[name], 0)) / questions, 1),
    ]),
  ) as Omit<Figures, 'questions'>;
}

/**
 * Leave one out: each conversation is judged with the numbers that did best on the others, by the sum
 * of recall at 10 and at 20. BM25 gets the same stems and stop words, and is tuned the same way.
 */
export function measureSplit(directory: string) {
  const samples = readSamples(directory);
  const rankers = {
    'ours lexical': tunings(choices.own, choices.named),
    'bm25 with our stems': tunings([1], [0]),
  };
  return Object.entries(rankers).map(([ranker, candidates]) => {
    const table = candidates.map((tuning) => ({
      tuning,
      figures: samples.map((sample) => judge(sample, tuning)),
    }));
    const folds = samples.map((sample, heldOut) => {
      const onOthers = ({ figures }: (typeof table)[number]) => {
        const { k10, k20 } = average(figures.filter((_, at) => at !== heldOut));
        return k10 + k20;
      };
      const best = table.reduce((a, b) => (onOthers(b) > onOthers(a) ? b : a));
      return {
        conversation: sample.conversation,
        tuning: best.tuning,
        figures: best.figures[heldOut] as Figures,
      };
    });
    return {
      ranker,
      heldOut: average(folds.map(({ figures }) => figures)),
      folds: folds.map(({ figures, ...fold }) => ({ ...fold, ...average([figures]) })),
    };
  });
}
