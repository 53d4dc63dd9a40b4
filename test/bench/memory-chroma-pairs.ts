import { ChromaMemoryStore } from '../../src/chroma.js';
import { askedSession } from './memory-cases.js';
import { chromaDirect, fromStore, type Subject, timed } from './memory-subjects.js';
import { embedder, makeText, makeTurn } from './memory-turns.js';
import { median, rounded } from './statistics.js';

/** The longer the server's log, the longer an append takes; after this many the log has been cleared. */
const appendRounds = 1_000;
const recallRounds = 150;

/**
 * Chroma through the store to Chroma called directly, call by call in turn on one server that cases of both
 * have filled, so that other load of the machine affects both alike. Medians of each, and the ratio of the medians.
 */
export async function measureChromaPairs(url: string, { turns, sessionTurns }: Filled) {
  const open = () => new ChromaMemoryStore({ url, embedder, queryEmbeddingTimeoutMs: 60_000 });
  const subjects = { ours: fromStore(open), direct: await chromaDirect(url) };
  const asked = askedSession(sessionTurns);
  for (const subject of Object.values(subjects)) {
    for (let n = 0; n < 20; n++) await subject.recall(asked, makeText(n, 12));
  }
  const session = `paired-${sessionTurns}`;
  const append = await inTurn(subjects, appendRounds, (subject, n) =>
    subject.append([makeTurn(turns + n, session)]),
  );
  const recall = await inTurn(subjects, recallRounds, (subject, n) =>
    subject.recall(asked, makeText(n * 7 + 3, 12)),
  );
  await subjects.ours.close();
  return { turns, sessionTurns, append, recall };
}

interface Filled {
  readonly turns: number;
  readonly sessionTurns: number;
}

async function inTurn(
  { ours, direct }: { readonly ours: Subject; readonly direct: Subject },
  rounds: number,
  work: (subject: Subject, n: number) => Promise<unknown>,
) {
  const oursMs: number[] = [];
  const directMs: number[] = [];
  for (let n = 0; n < rounds; n++) {
    const first = async () => oursMs.push(await timed(() => work(ours, n)));
    const second = async () => directMs.push(await timed(() => work(direct, n)));
    for (const call of n % 2 === 0 ? [first, second] : [second, first]) await call();
  }
  const ratio = rounded(median(oursMs) / median(directMs), 2);
  return { oursP50Ms: rounded(median(oursMs)), directP50Ms: rounded(median(directMs)), ratio };
}
