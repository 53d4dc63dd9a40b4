import { askedSession, caseFile, type MemoryCase } from './memory-cases.js';
import { openEmbedded, type Subject, timed } from './memory-subjects.js';
import { makeText, makeTurn } from './memory-turns.js';
import { median, rounded } from './statistics.js';

const rounds = 300;

/**
 * The embedded store with few turns to the same with many, both filled before, call by call in turn, so that other
 * load of the machine affects both alike. Medians of each, and the ratio of the medians.
 */
export async function measureSizes(
  directory: string,
  sessionTurns: number,
  { few, many }: { readonly few: MemoryCase; readonly many: MemoryCase },
) {
  const asked = askedSession(sessionTurns);
  const open = async (memoryCase: MemoryCase) => {
    const subject = await openEmbedded(caseFile(directory, memoryCase));
    for (let n = 0; n < 20; n++) await subject.recall(asked, makeText(n, 12));
    return subject;
  };
  const small = await open(few);
  const large = await open(many);
  const next = many.turns + 1_000_000;
  const append = await inTurn(small, large, (subject, n) =>
    subject.append([makeTurn(next + n, `new-${sessionTurns}`)]),
  );
  const recall = await inTurn(small, large, (subject, n) => subject.recall(asked, makeText(n * 7 + 3, 12)));
  await small.close();
  await large.close();
  return { sessionTurns, few: few.turns, many: many.turns, append, recall };
}

async function inTurn(
  small: Subject,
  large: Subject,
  work: (subject: Subject, n: number) => Promise<unknown>,
) {
  const fewMs: number[] = [];
  const manyMs: number[] = [];
  for (let n = 0; n < rounds; n++) {
    const first = async () => fewMs.push(await timed(() => work(small, n)));
    const second = async () => manyMs.push(await timed(() => work(large, n)));
    for (const call of n % 2 === 0 ? [first, second] : [second, first]) await call();
  }
  const ratio = rounded(median(manyMs) / median(fewMs), 2);
  return { fewP50Ms: rounded(median(fewMs)), manyP50Ms: rounded(median(manyMs)), ratio };
}
