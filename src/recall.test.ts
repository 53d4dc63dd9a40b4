import { readFile } from 'node:fs/promises';
import * as recall from 'multimodal-chat/recall';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { makeTurn } from './testing/contracts/memory-store-contract.js';

type Rank = (
  turns: readonly ReturnType<typeof makeTurn>[],
  query: string,
  limit: number,
) => readonly { readonly turn: { readonly prompt: string }; readonly score: number }[];

/** The function of the README's example on `multimodal-chat/recall`. */
async function exampleOfReadme(): Promise<Rank> {
  const text = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const block = [...text.matchAll(/```ts\n(.*?)```/gs)].find(([, code]) =>
    code?.includes("from 'multimodal-chat/recall'"),
  );
  const code = ts.transpile(block?.[1] ?? '', {
    module: ts.ModuleKind.CommonJS,
    target: ts.ScriptTarget.ES2022,
  });
  const load = (name: string) => (name === 'multimodal-chat/recall' ? recall : {});
  return new Function('require', 'exports', `${code}; return rank;`)(load, {}) as Rank;
}

describe('multimodal-chat/recall', () => {
  it('ranks turns as in the README', async () => {
    const rank = await exampleOfReadme();
    const prompts = [
      'I adopted a tortoise.',
      'It rained all day.',
      'We painted the fence.',
      'Lunch was late.',
    ];
    const turns = prompts.map((prompt) => makeTurn({ prompt, reply: '' }));
    const [found] = rank(turns, 'Who was painting fences?', 2);
    expect(found?.turn.prompt).toBe('We painted the fence.');
    expect(found?.score).toBeGreaterThan(0);
  });

  it('reads a text in one line, from which the same index is made', () => {
    const texts = ["Ann: It's a café\nby the sea", '', '我们在公园: x', 'Bob: tea, tea and tea'];
    const lines = texts.map(recall.termsOf);
    expect(lines).toEqual([
      'ann:ann its a cafe by the sea',
      ':',
      ':我们 们在 在公 公园 x',
      'bob:bob tea tea and tea',
    ]);
    const one = new recall.ConversationIndex();
    for (const [at, text] of texts.entries()) one.add(at * 2, text);
    const other = new recall.ConversationIndex();
    other.addTerms(
      texts.map((_, at) => at * 2),
      lines.join('\n'),
    );
    for (const query of ['tea', 'What did Ann see?', '公园', 'cafes']) {
      expect(one.search(query, 9)).toEqual(other.search(query, 9));
      expect(one.search(query, 9)).not.toEqual([]);
    }
  });
});
