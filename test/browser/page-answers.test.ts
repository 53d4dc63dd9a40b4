import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import express from 'express';
import {
  type ChatStreamEvent,
  type GeneratedFile,
  type MessagePart,
  type Reply,
  toTurn,
} from 'multimodal-chat';
import { chatRouter } from 'multimodal-chat/express';
import { tonePart } from 'multimodal-chat/testing';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { renderPage } from '../../examples/express-server/page.js';
import { type FakeAnswers, fakeChat } from '../support/fake-chat.js';
import { generated } from '../support/http-samples.js';
import { drawPicture } from '../support/media-fixtures.js';
import { chromiumPath, howToGetChromium, openBrowser } from './chromium.js';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const screenshots = fileURLToPath(new URL('../screenshots/', import.meta.url));
const isMissing = chromiumPath === undefined && !process.env.CI;
const apiToken = 'correct-horse-battery';

/** As Google sends them: links in a row, styled for light and dark. */
const suggestions = `<style>
.container { align-items: center; border-radius: 8px; display: flex; font-family: sans-serif; padding: 8px 12px; background: #fafafa; }
.chip { border: 1px solid #d2d2d2; border-radius: 16px; padding: 4px 12px; color: #1e1e1e; text-decoration: none; }
@media (prefers-color-scheme: dark) { .container { background: #1f1f1f; } .chip { color: #fff; border-color: #444; } }
</style><div class="container"><a class="chip" href="https://search.example/?q=tides">tides in Lisbon</a></div>
<script>parent.document.title = 'broken out'</script>`;

/** An answer that ends with a reply of these parts, and the conversation as it is stored then. */
function answerOf(reply: Partial<Reply>, files: readonly GeneratedFile[]): FakeAnswers {
  const { code = [], sources = [], text = '' } = reply;
  const parts: readonly MessagePart[] = [
    ...code.flatMap(({ result, ...each }): readonly MessagePart[] => [
      { type: 'code', ...each },
      ...(result ? [{ type: 'code-result', ...result } as const] : []),
    ]),
    { type: 'text', text },
    ...files.map(({ data, ...file }) => ({ type: 'file', bytes: data.byteLength, ...file }) as const),
    ...sources,
  ];
  const { finishMessage, rawFinishReason, safetyRatings, searchSuggestions } = reply;
  const info = { finishMessage, rawFinishReason, safetyRatings, searchSuggestions };
  const asked = { role: 'user', parts: [{ type: 'text', text: 'When is high tide?' }] } as const;
  const messages = [asked, { role: 'assistant', parts, info } as const];
  return {
    reply: { ...reply, files },
    turns: [toTurn({ tenant: 'default', sessionId: 's', id: 't', createdAt: Date.now(), messages })],
    file: async ({ fingerprint }) => files.find((file) => file.fingerprint === fingerprint),
  };
}

function soundOf(seconds: number): Buffer {
  const { inlineData } = tonePart({ durationMs: seconds * 1000 });
  return Buffer.from(inlineData?.data ?? '', 'base64');
}

describe.skipIf(isMissing)(`an answer on the page${isMissing ? ` (${howToGetChromium})` : ''}`, () => {
  let browser: Browser;
  let picture: GeneratedFile;
  const sound = generated('speech.wav', 'audio/wav', soundOf(2));

  beforeAll(async () => {
    await mkdir(screenshots, { recursive: true });
    picture = generated('tides.png', 'image/png', await drawPicture(5).png().toBuffer());
    browser = await openBrowser();
  });
  afterAll(() => browser?.close());

  /** The page over a chat that answers as told, in a browser that knows the token. */
  async function openPage(answers: FakeAnswers, change: Partial<ReturnType<typeof fakeChat>> = {}) {
    const app = express().use(
      chatRouter(
        { ...fakeChat(answers), ...change },
        { apiToken, page: renderPage({ maxUploadBytes: 1e6 }) },
      ),
    );
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const context = await browser.newContext({ viewport: { width: 1280, height: 1100 } });
    await context.addInitScript(
      // The frame of the suggestions has no storage.
      (token) => window === top && localStorage.setItem('multimodal-chat.token', JSON.stringify(token)),
      apiToken,
    );
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error.stack)));
    page.on('console', (message) => {
      const isExpected = /^Failed to load resource|Blocked script execution/.test(message.text());
      if (message.type() === 'error' && !isExpected) complaints.push(message.text());
    });
    onTestFinished(async () => {
      await context.close();
      server.closeAllConnections();
      server.close();
      expect(complaints).toEqual([]);
    });
    await page.goto(url);
    return page;
  }

  async function ask(page: Page): Promise<void> {
    await page.getByLabel('Message', { exact: true }).fill('When is high tide?');
    await page.keyboard.press('Enter');
  }

  const widthOf = (page: Page) =>
    page.locator('.made img').evaluate((image) => (image as HTMLImageElement).naturalWidth);
  const secondsOf = (page: Page) =>
    page.locator('.made audio').evaluate((audio) => (audio as HTMLAudioElement).duration);

  const everything = (): Partial<Reply> => ({
    text: 'High tide is at **14:20**.\n\nThe second one of the day',
    finishReason: 'max-tokens',
    rawFinishReason: 'MAX_TOKENS',
    code: [
      { language: 'python', code: 'print(14 + 1/3)', result: { outcome: 'ok', output: '<b>14.33</b>' } },
    ],
    sources: [
      { type: 'source', kind: 'web', title: 'Tide tables', url: 'https://tides.example/lisbon' },
      { type: 'source', kind: 'web', title: 'Code', url: 'https://code.example/a', license: 'mit' },
      { type: 'source', kind: 'web', title: 'Trap', url: 'javascript:alert(1)' },
    ],
    searchSuggestions: { queries: ['tides in Lisbon'], html: suggestions },
    usage: { outputTokens: 12 },
  });

  /** What is to be seen of `everything`, at once and after a reload. */
  async function expectEverything(page: Page): Promise<void> {
    await expect.poll(() => widthOf(page)).toBe(640);
    await expect.poll(() => secondsOf(page)).toBe(2);
    expect(await page.locator('.made figcaption span:first-child').allTextContents()).toEqual([
      'tides.png',
      'speech.wav',
    ]);
    expect(await page.locator('.ending').textContent()).toBe(
      'The answer was cut off at the limit of output tokens.',
    );
    const code = page.locator('.steps', { hasText: 'Ran 1 piece of code' });
    expect(await code.locator('pre').first().isVisible()).toBe(false);
    expect(await code.locator('li').textContent()).toBe('pythonprint(14 + 1/3)Output:<b>14.33</b>');
    const links = page.locator('.sources a');
    expect(
      await links.evaluateAll((all) =>
        all.map((link) => [link.getAttribute('href'), link.getAttribute('rel')]),
      ),
    ).toEqual([
      ['https://tides.example/lisbon', 'noopener noreferrer'],
      ['https://code.example/a', 'noopener noreferrer'],
    ]);
    expect(await page.locator('.sources li').allTextContents()).toEqual([
      'Tide tables',
      'CodeLicense: mit',
      'Trap',
    ]);
  }

  it('shows all that it holds, also after a reload', async () => {
    const answers = answerOf(everything(), [picture, sound]);
    const events: readonly ChatStreamEvent[] = [
      { type: 'text', text: 'High tide' },
      ...[picture, sound].map((file) => ({ type: 'file', file }) as const),
    ];
    const page = await openPage({ ...answers, events });
    const fetched: string[] = [];
    page.on('request', (request) => {
      if (request.url().includes('/files/')) fetched.push(request.url());
    });
    await ask(page);
    await page.locator('.facts').waitFor();
    await expectEverything(page);
    expect(fetched).toEqual([]);
    expect(await page.locator('.facts').textContent()).toContain('tokens: 12 out');
    await page.locator('.sources summary').click();
    await page.locator('.steps summary', { hasText: 'code' }).click();
    await page.screenshot({ path: join(screenshots, 'answer-light.png') });

    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize({ width: 340, height: 1300 });
    await page.reload();
    await page.locator('.facts').waitFor();
    await expectEverything(page);
    expect(fetched).toHaveLength(2);
    await page.locator('.sources summary').click();
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0);
    await page.screenshot({ path: join(screenshots, 'answer-dark-narrow.png') });

    await page.getByRole('button', { name: 'Enlarge tides.png' }).click();
    expect(await page.locator('#viewer-caption').textContent()).toBe('tides.png');
    await page.keyboard.press('Escape');
    for (const [name, savedAs] of [
      ['tides.png', 'tides.png'],
      ['speech.wav', 'speech.wav'],
    ]) {
      const saving = page.waitForEvent('download');
      await page.getByRole('link', { name: `Save ${name}` }).click();
      expect((await saving).suggestedFilename()).toBe(savedAs);
    }
  });

  it('says on a narrow screen that a picture is no longer kept', async () => {
    const page = await openPage({ ...answerOf({ text: 'Here.' }, [picture]), file: async () => undefined });
    await page.setViewportSize({ width: 320, height: 640 });
    await ask(page);
    await page.locator('.facts').waitFor();
    // No event brought its bytes.
    const chip = page.locator('.made .file-chip', { hasText: 'no longer kept' });
    await chip.waitFor();
    await page.screenshot({ path: join(screenshots, 'file-gone.png') });
    expect((await chip.boundingBox())?.width).toBeLessThan(320);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0);
  });

  it('shows search suggestions in a frame that runs no script and opens links in a new tab', async () => {
    const page = await openPage(answerOf(everything(), []));
    await page
      .context()
      .route('https://search.example/**', (route) =>
        route.fulfill({ contentType: 'text/html', body: '<script>document.title = "runs"</script>' }),
      );
    await ask(page);
    const chip = page.frameLocator('.searches iframe').getByText('tides in Lisbon');
    const opening = page.context().waitForEvent('page');
    await chip.click();
    const tab = await opening;
    expect(tab.url()).toBe('https://search.example/?q=tides');
    await expect.poll(() => tab.title()).toBe('runs');
    expect(await tab.evaluate(() => window.opener)).toBeNull();
    expect(await page.title()).toBe('multimodal-chat');
  });

  it.each<[string, Partial<Reply>, string]>([
    [
      'a finish message and notable safety ratings',
      {
        finishReason: 'unknown',
        rawFinishReason: 'IMAGE_SAFETY',
        finishMessage: 'The picture was held back.',
        safetyRatings: [
          { category: 'HARM_CATEGORY_HARASSMENT', probability: 'NEGLIGIBLE' },
          { category: 'HARM_CATEGORY_DANGEROUS_CONTENT', probability: 'MEDIUM', blocked: true },
        ],
      },
      'The answer ended for an unusual reason (IMAGE_SAFETY). The picture was held back. Safety ratings: dangerous content (medium).',
    ],
    ['no reason', { finishReason: 'unknown' }, 'The answer ended for an unusual reason.'],
  ])('says how it ended, with %s', async (_what, reply, sentence) => {
    const page = await openPage(answerOf({ text: 'Well.', ...reply }, []));
    await ask(page);
    expect(await page.locator('.ending').textContent()).toBe(sentence);
  });

  it('takes everything back on a restart', async () => {
    const text = 'Once more.';
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const answers = answerOf({ text }, []);
    const failure = { kind: 'network', scope: 'call', message: 'It broke off.' } as const;
    const chat = fakeChat({
      ...answers,
      events: [
        { type: 'restart', failure },
        { type: 'text', text },
      ],
    });
    const page = await openPage(answers, {
      async *stream(request) {
        yield { type: 'text', text: 'First try' };
        yield { type: 'file', file: picture };
        yield { type: 'code', code: { type: 'code', code: 'x' } };
        yield { type: 'tool-call', call: { type: 'tool-call', callId: 'a', name: 'find', input: {} } };
        yield { type: 'source', source: { type: 'source', kind: 'web', title: 'T' } };
        await gate;
        yield* chat.stream(request);
      },
    });
    await ask(page);
    await page.locator('.sources li').waitFor({ state: 'attached' });
    await expect.poll(() => widthOf(page)).toBe(640);
    expect(await page.locator('.steps').count()).toBe(3);
    goOn();
    await page.locator('.facts').waitFor();
    expect(await page.locator('.answer').textContent()).toBe(text);
    expect(await page.locator('.made, .steps, .sources li').count()).toBe(0);
  });
});
