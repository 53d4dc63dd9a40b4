import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toTurn } from '../../src/core/turn.js';
import { EmbeddedMemoryStore } from '../../src/memory/embedded/embedded-memory-store.js';
import type { Embedder } from '../../src/memory/embedder.js';
import { splitWords } from '../../src/memory/rank/words.js';
import { rounded } from './statistics.js';

interface Utterance {
  readonly id: string;
  readonly speaker: string;
  readonly text: string;
  readonly caption?: string | null;
}

export interface Sample {
  readonly conversation: string;
  readonly turns: readonly Utterance[];
  readonly questions: readonly {
    readonly question: string;
    readonly evidence: readonly string[];
    readonly category: number;
  }[];
}

/** Ids of at most 100 turns, best first. */
type Ranker = (query: string) => Promise<readonly string[]>;

const depth = 100;
const categoryNames: Readonly<Record<number, string>> = {
  1: 'multi-hop',
  2: 'temporal',
  3: 'open-domain',
  4: 'single-hop',
  5: 'adversarial',
};

export const utteranceText = ({ speaker, text, caption }: Utterance): string =>
  `${speaker}: ${text}${caption ? ` [shares ${caption}]` : ''}`;

/** BM25 as textbooks have it (k1 1.2, b 0.75, words as they stand): the baseline. */
function plainBm25(turns: readonly Utterance[]): Ranker {
  const documents = turns.map((turn) => splitWords(utteranceText(turn)));
  const averageLength = documents.reduce((sum, words) => sum + words.length, 0) / documents.length;
  const holding = new Map<string, number>();
  for (const words of documents) {
    for (const word of new Set(words)) holding.set(word, (holding.get(word) ?? 0) + 1);
  }
  return async (query) => {
    const asked = new Set(splitWords(query));
    const scores = documents.map((words) => {
      let score = 0;
      for (const word of asked) {
        const count = words.filter((other) => other === word).length;
        const found = holding.get(word) ?? 0;
        const rarity = Math.log(1 + (documents.length - found + 0.5) / (found + 0.5));
        score += (rarity * count * 2.2) / (count + 1.2 * (0.25 + (0.75 * words.length) / averageLength));
      }
      return score;
    });
    const best = turns.map((_, at) => at).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
    return best.slice(0, depth).map((at) => turns[at]?.id ?? '');
  };
}

async function ours(
  { conversation, turns }: Sample,
  embedder: Embedder | undefined,
): Promise<{ rank: Ranker; close(): Promise<void> }> {
  const store = new EmbeddedMemoryStore({ path: ':memory:', embedder, queryEmbeddingTimeoutMs: 60_000 });
  const key = { tenant: 'locomo', sessionId: conversation };
  await Promise.all(
    turns.map((turn, at) =>
      store.append(toTurn({ ...key, id: turn.id, createdAt: at, prompt: utteranceText(turn) })),
    ),
  );
  await store.flush();
  return {
    async rank(query) {
      const found = await store.recall(key, query, { limit: depth });
      return found.map(({ turn }) => turn.id);
    },
    close: () => store.close(),
  };
}

/** Sums over questions of one ranker on one or more conversations. */
class Tally {
  readonly #sums = new Map<string, number>();
  readonly #categories = new Map<string, { sum: number; count: number }>();
  #questions = 0;

  add(
    ranked: readonly string[],
    evidence: readonly string[],
    category: number,
    textOf: ReadonlyMap<string, string>,
  ) {
    const share = (ids: readonly string[]) =>
      evidence.filter((id) => ids.includes(id)).length / evidence.length;
    const first = ranked.findIndex((id) => evidence.includes(id));
    const figures = {
      k5: share(ranked.slice(0, 5)),
      k10: share(ranked.slice(0, 10)),
      k20: share(ranked.slice(0, 20)),
      mrr: first < 0 ? 0 : 1 / (first + 1),
      chars2000: share(within(ranked, 2_000, textOf)),
      chars4000: share(within(ranked, 4_000, textOf)),
    };
    for (const [name, value] of Object.entries(figures)) {
      this.#sums.set(name, (this.#sums.get(name) ?? 0) + value);
    }
    const name = categoryNames[category] ?? String(category);
    const { sum, count } = this.#categories.get(name) ?? { sum: 0, count: 0 };
    this.#categories.set(name, { sum: sum + figures.k10, count: count + 1 });
    this.#questions++;
  }

  /** Percent, but for `mrr`. */
  result() {
    const mean = (name: string, scale = 100) =>
      rounded(((this.#sums.get(name) ?? 0) / this.#questions) * scale, scale === 1 ? 3 : 1);
    return {
      questions: this.#questions,
      k5: mean('k5'),
      k10: mean('k10'),
      k20: mean('k20'),
      mrr: mean('mrr', 1),
      chars2000: mean('chars2000'),
      chars4000: mean('chars4000'),
      byCategory: Object.fromEntries(
        [...this.#categories].map(([name, { sum, count }]) => [name, rounded((100 * sum) / count, 1)]),
      ),
    };
  }
}

/** Ranked turns until the next would exceed a number of characters. */
export function within(
  ranked: readonly string[],
  characters: number,
  textOf: ReadonlyMap<string, string>,
): string[] {
  const taken: string[] = [];
  let left = characters;
  for (const id of ranked) {
    left -= textOf.get(id)?.length ?? 0;
    if (left < 0) break;
    taken.push(id);
  }
  return taken;
}

export function readSamples(directory: string): readonly Sample[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as Sample);
}

/**
 * Turn-level evidence recall on LoCoMo: the share of the turns that hold the answer among the first k,
 * averaged over questions, for each ranker, over all conversations and for each of them.
 */
export async function measureLocomo(directory: string, embedder: Embedder | undefined) {
  const samples = readSamples(directory);
  const tallies = new Map<string, Map<string, Tally>>();
  for (const sample of samples) {
    const textOf = new Map(sample.turns.map((turn) => [turn.id, utteranceText(turn)]));
    const lexical = await ours(sample, undefined);
    const dense = embedder && (await ours(sample, embedder));
    const rankers: Record<string, Ranker> = {
      'last-N': async () =>
        sample.turns
          .map(({ id }) => id)
          .reverse()
          .slice(0, depth),
      bm25: plainBm25(sample.turns),
      'ours lexical': lexical.rank,
      ...(dense ? { [`ours with ${embedder.model}`]: dense.rank } : {}),
    };
    for (const { question, evidence, category } of sample.questions) {
      const known = evidence.filter((id) => textOf.has(id));
      if (known.length === 0) continue;
      for (const [name, rank] of Object.entries(rankers)) {
        const ranked = await rank(question);
        for (const group of ['all', sample.conversation]) {
          const groups = tallies.get(name) ?? new Map<string, Tally>();
          tallies.set(name, groups);
          const tally = groups.get(group) ?? new Tally();
          groups.set(group, tally);
          tally.add(ranked, known, category, textOf);
        }
      }
    }
    await lexical.close();
    await dense?.close();
  }
  return [...tallies].map(([ranker, groups]) => ({
    ranker,
    ...(groups.get('all') as Tally).result(),
    k10ByConversation: Object.fromEntries(
      [...groups].filter(([group]) => group !== 'all').map(([group, tally]) => [group, tally.result().k10]),
    ),
  }));
}
