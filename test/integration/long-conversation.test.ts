import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MultimodalChat } from 'multimodal-chat';
import { type GeminiEmulator, type RecordedCall, startGeminiEmulator } from 'multimodal-chat/testing';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeClip } from '../support/media-fixtures.js';
import { seededRandom } from '../support/seeded-random.js';
import {
  type Attachment,
  ask,
  makeServerDirectory,
  type ServerProcess,
  startServer,
} from './server-process.js';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 600_000 });

const turnCount = 2000;
const sessionId = 'years';
const summaryModel = 'gemini-3.5-flash-lite';
/** Each occurs in one turn only. */
const facts: Readonly<Record<number, string>> = {
  7: 'My aunt Brunhilde keeps eleven alpacas behind the windmill.',
  612: 'The spare key lies under the terracotta hedgehog.',
  1404: 'Our ferry to Trelleborg leaves at a quarter past six.',
};
const attachedAt: Readonly<Record<number, string>> = {
  20: 'harbour.png',
  300: 'meadow.mp4',
  650: 'ticket.png',
  1200: 'workshop.mp4',
  1500: 'blueprint.png',
};
const smallTalk =
  'today we talked about the weather the garden some music lunch a walk the news an old film my neighbour and the train'.split(
    ' ',
  );

let fixtures: string;
let directory: Awaited<ReturnType<typeof makeServerDirectory>>;
let emulator: GeminiEmulator;
let server: ServerProcess;

const start = () =>
  startServer(directory.path, {
    GEMINI_API_KEY: 'a-key-of-the-test-0001',
    GOOGLE_GEMINI_BASE_URL: emulator.url,
    SUMMARY: 'on',
  });

/** A summary keeps one word, from turn 7 on. */
const answerOf = ({ model, texts }: RecordedCall) =>
  model === summaryModel ? `They spoke of ${/Brunhilde/.exec(texts.join(' ')) ?? 'nothing'}.` : 'Noted.';

async function restart(signal: NodeJS.Signals): Promise<void> {
  server.signal(signal);
  await server.exited;
  server = await start();
}

async function attachment(name: string): Promise<Attachment> {
  const path = join(fixtures, name);
  if (name.endsWith('.mp4')) await makeClip({ path, seconds: 2 });
  else
    await sharp({ create: { width: 80, height: 50, channels: 3, background: 'olive' } })
      .png()
      .toFile(path);
  return { name, data: await readFile(path) };
}

const lastCall = () => emulator.journal.filter(({ model }) => model !== summaryModel).at(-1);
const lastTexts = () => (lastCall()?.texts ?? []).join('\n');
const lastLabels = () => (lastCall()?.images ?? []).map(({ label }) => label ?? '');
const everyFile = async () => {
  const entries = await readdir(directory.path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
};

beforeAll(async () => {
  fixtures = await mkdtemp(join(tmpdir(), 'long-'));
  directory = await makeServerDirectory();
  emulator = await startGeminiEmulator({ answer: answerOf });
  server = await start();
  const random = seededRandom(5);
  const sentence = () =>
    Array.from({ length: 12 }, () => smallTalk[Math.floor(random() * smallTalk.length)]).join(' ');
  for (let turn = 1; turn <= turnCount; turn += 1) {
    const name = attachedAt[turn];
    const attachments = name === undefined ? [] : [await attachment(name)];
    const prompt =
      facts[turn] ?? (name === undefined ? sentence() : `Look at this, it is the ${name.split('.')[0]}.`);
    await ask(server, prompt, { sessionId, attachments });
    if (turn === 700) await restart('SIGKILL');
    if (turn === 1600) await restart('SIGTERM');
  }
});

afterAll(async () => {
  await server.stop();
  await emulator.close();
  await directory.remove();
  await rm(fixtures, { recursive: true, force: true });
});

describe(`a conversation of ${turnCount} turns with pictures and clips, restarted twice`, () => {
  it('keeps every turn', async () => {
    const stats = (await (await fetch(`${server.url}/stats`)).json()) as { memory: { turns: number } };
    expect(stats.memory.turns).toBe(turnCount);
  });

  it.each([
    ['Where does my aunt keep her alpacas?', 7],
    ['Where did I say the spare key is?', 612],
    ['When does the ferry leave?', 1404],
  ])('recalls the turn that %j asks about', async (prompt, turn) => {
    await ask(server, prompt, { sessionId });
    expect(lastTexts()).toContain(facts[turn]);
  });

  it('keeps the summary of its beginning across the restarts', async () => {
    await ask(server, 'What now?', { sessionId });
    expect(lastTexts()).toContain('\n> They spoke of Brunhilde.\n');
    expect(emulator.journal.filter(({ model }) => model === summaryModel).length).toBeLessThan(
      turnCount / 50,
    );
  });

  it.each([
    ['What could be seen in the first clip?', 'meadow.mp4'],
    ['And in the second video?', 'workshop.mp4'],
    ['Describe the third picture again.', 'blueprint.png'],
    ['What did harbour.png show?', 'harbour.png'],
  ])('attaches again what %j refers to', async (prompt, name) => {
    await ask(server, prompt, { sessionId });
    expect(lastLabels().length).toBeGreaterThan(0);
    for (const label of lastLabels()) expect(label).toContain(name);
  });

  it('shows nothing to another session', async () => {
    await ask(server, 'Where does my aunt keep her alpacas, and what was in the first clip, meadow.mp4?', {
      sessionId: 'someone-else',
    });
    expect(lastTexts()).not.toContain('windmill');
    expect(lastLabels()).toEqual([]);
  });

  it('shows nothing to another tenant', async () => {
    const chat = new MultimodalChat({
      keys: ['a-key-of-the-test-0001'],
      baseUrl: emulator.url,
      dataDir: join(directory.path, '.multimodal-chat'),
    });
    const { recalled, recentTurns, reattachedMedia } = await chat.send({
      sessionId,
      tenant: 'another',
      prompt: 'Where does my aunt keep her alpacas, and what was in the first clip?',
    });
    expect([recalled, recentTurns, reattachedMedia]).toEqual([[], 0, []]);
    await chat.close();
  });

  it('leaves none of its words on disk once deleted', async () => {
    const words = [
      'Brunhilde',
      'terracotta',
      'Trelleborg',
      'meadow',
      'workshop',
      'harbour',
      'ticket',
      'blueprint',
    ];
    const wordsOnDisk = async () => {
      const found = new Set<string>();
      for (const file of await everyFile()) {
        const bytes = await readFile(file);
        for (const word of words) if (bytes.includes(word)) found.add(word);
      }
      return found;
    };
    expect((await wordsOnDisk()).size).toBe(words.length);
    const response = await fetch(`${server.url}/sessions/${sessionId}`, { method: 'DELETE' });
    expect(response.status).toBe(200);
    await fetch(`${server.url}/sessions/someone-else`, { method: 'DELETE' });
    expect(await wordsOnDisk()).toEqual(new Set());
    await restart('SIGTERM');
    expect(await wordsOnDisk()).toEqual(new Set());
  });
});
