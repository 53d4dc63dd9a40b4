import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { IncompleteReplyError, MultimodalChat, type Reply, tool } from 'multimodal-chat';

/** Asks one question after the other, from the first that was not answered; each calls three tools. */
const [baseUrl = '', directory = '', first = '', count = ''] = process.argv.slice(2);

const note = (name: string) =>
  tool({
    name,
    description: 'Writes down that it ran.',
    execute: async (_, { callId }) => {
      await sleep(Math.random() * 10);
      appendFileSync(`${directory}/runs.log`, `${callId}\n`);
      await sleep(Math.random() * 10);
      return `${name} has run`;
    },
  });

const chat = new MultimodalChat({
  keys: [
    { key: 'key-alpha', project: 'alpha' },
    { key: 'key-beta', project: 'beta' },
  ],
  ...{ baseUrl, dataDir: directory, tools: ['one', 'two', 'three'].map(note) },
  retry: { baseDelayMs: 5, maxDelayMs: 50 },
});
/** An answer that broke off on both models is asked for again, as a user does. */
async function ask(turn: number): Promise<Reply> {
  const request = { sessionId: `s${Math.floor(turn / 10)}`, turnId: `t${turn}`, prompt: `Turn ${turn}` };
  for (;;) {
    try {
      return await chat.send(request);
    } catch (error) {
      if (!IncompleteReplyError.isInstance(error)) throw error;
    }
  }
}

for (let turn = Number(first); turn < Number(count); turn += 1) {
  const { text, toolResults } = await ask(turn);
  const failed = toolResults.filter(({ isError }) => isError).map(({ callId }) => callId);
  process.stdout.write(`${JSON.stringify({ turn, text, failed })}\n`);
}
await chat.close();
