import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startGeminiEmulator } from 'multimodal-chat/testing';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ServerProcess } from '../integration/server-process.js';
import { makeServerDirectory, startServer } from '../integration/server-process.js';
import { drawPicture, makeClip } from '../support/media-fixtures.js';
import { chromiumPath, howToGetChromium, openBrowser } from './chromium.js';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const screenshots = fileURLToPath(new URL('../screenshots/', import.meta.url));
const isMissing = chromiumPath === undefined && !process.env.CI;
if (isMissing) console.warn(howToGetChromium);

/** An event stream as the server would send it. */
const eventStream = (...events: readonly (readonly [string, object])[]) => ({
  contentType: 'text/event-stream',
  body: events.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join(''),
});

const doneWith = (response: string) =>
  [
    'done',
    {
      response,
      model: 'gemini-3.8-flash',
      timings: { total_ms: 1234 },
      usage: null,
      attempts: [{}],
      finish_reason: 'stop',
      stored: true,
    },
  ] as const;

describe.skipIf(isMissing)(`the chat page in Chromium${isMissing ? ` (${howToGetChromium})` : ''}`, () => {
  let directory: string;
  let remove: () => Promise<void>;
  let server: ServerProcess;
  let browser: Browser;

  beforeAll(async () => {
    ({ path: directory, remove } = await makeServerDirectory());
    await mkdir(screenshots, { recursive: true });
    await drawPicture(3).jpeg().toFile(join(directory, 'picture.jpg'));
    await makeClip({ path: join(directory, 'clip.mp4'), seconds: 12, audio: true });
    server = await startServer(directory);
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    await remove?.();
  });

  /** A page in its own browser context. Errors of the page fail the test. */
  async function openPage(options: BrowserContextOptions = {}, url = server.url): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error.stack)));
    page.on('console', (message) => {
      // Chromium itself reports every status from 400 on.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        complaints.push(message.text());
      }
    });
    onTestFinished(async () => {
      await context.close();
      expect(complaints).toEqual([]);
    });
    await page.goto(url);
    return page;
  }

  const answers = (page: Page) => page.locator('.turn:has(.facts) .answer');

  async function askOnPage(page: Page, prompt: string, files: readonly string[] = []): Promise<string> {
    const before = await answers(page).count();
    if (files.length > 0)
      await page.setInputFiles(
        '#files',
        files.map((file) => join(directory, file)),
      );
    await page.getByLabel('Message', { exact: true }).fill(prompt);
    await page.keyboard.press('Enter');
    await answers(page).nth(before).waitFor();
    return (await answers(page).nth(before).textContent()) ?? '';
  }

  it('shows the answer to a text, a picture and a clip, with the frames that the model saw', async () => {
    const page = await openPage();
    expect(await page.locator('#notice').textContent()).toContain('a built-in emulator answers, not Gemini');
    expect(await askOnPage(page, 'What are the benefits of renewable energy?')).toContain('renewable energy');
    expect(await askOnPage(page, 'Describe what you see', ['picture.jpg'])).toContain(
      '1 picture: [picture.jpg]',
    );
    expect(await askOnPage(page, 'What is the main action?', ['clip.mp4'])).toContain('8 pictures');

    const card = page.getByRole('region', { name: 'What the model saw of clip.mp4' });
    expect(await card.locator('.shown-head').textContent()).toMatch(
      /Saw 8 frames and heard the sound\s*clip\.mp4 · 12 s · 320 × 160/,
    );
    const stamps = (await card.locator('.frame span').allTextContents()).map((text) =>
      Number(text.split(':')[1]),
    );
    expect(stamps).toHaveLength(8);
    for (const [index, seconds] of stamps.entries())
      expect(Math.abs(seconds - (index + 0.5) * 1.5)).toBeLessThan(1);
    const widths = await card
      .locator('.frame img')
      .evaluateAll((images) => images.map((image) => (image as HTMLImageElement).naturalWidth));
    expect(widths).toEqual(Array(8).fill(320));
    await page.screenshot({ path: join(screenshots, 'desktop-light.png') });

    await card.locator('.frame').first().click();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#viewer-caption').textContent()).toMatch(
      /^clip\.mp4 at 0:0\d\.\d \(2 of 8\)$/,
    );
    await page.screenshot({ path: join(screenshots, 'viewer.png') });
    await page.keyboard.press('Escape');

    await page.reload();
    await answers(page).nth(2).waitFor();
    expect(await page.locator('.bubble').last().textContent()).toContain('What is the main action?');
    expect(await page.locator('.file-chip').last().textContent()).toMatch(/clip\.mp4\s*8 frames, 0:0/);
    expect(await askOnPage(page, 'And what came before that?')).toContain('The request had 3 earlier turns');
  });

  it('keeps several conversations and deletes one, here and on the server', async () => {
    const page = await openPage();
    await askOnPage(page, 'First subject');
    await page.getByRole('button', { name: 'New conversation' }).click();
    expect(await askOnPage(page, 'Second subject')).toContain('There were no earlier turns');
    const id = await page.evaluate(
      () => JSON.parse(localStorage.getItem('multimodal-chat.sessions') ?? '[]')[1].id,
    );

    await page.locator('.session', { hasText: 'First subject' }).hover();
    await page.getByRole('button', { name: 'Delete the conversation First subject' }).click();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.locator('.session', { hasText: 'First subject' }).waitFor({ state: 'detached' });
    expect(await page.locator('#title').textContent()).toBe('Second subject');
    const left = await (await fetch(`${server.url}/sessions/${id}`)).json();
    expect(left).toMatchObject({ turns: [] });
  });

  it('drops the partial text on a restart, and shows what was recalled', async () => {
    const page = await openPage();
    const turn = {
      turn_id: 't',
      created_at: 1_700_000_000,
      prompt: 'The <b>code</b> word?',
      response: 'Albatross.',
      media: [],
      score: 1,
    };
    await page.route('**/infer', (route) =>
      route.fulfill(
        eventStream(
          ['recall', { recent_turns: 1, turns: [turn] }],
          ['text', { text: 'Half an ans' }],
          ['restart', { kind: 'network', message: 'reset' }],
          ['text', { text: 'A **whole** answer\n\n<img src=x onerror=alert(1)>' }],
          doneWith('A **whole** answer\n\n<img src=x onerror=alert(1)>'),
        ),
      ),
    );
    await askOnPage(page, 'Well?');
    expect(await page.locator('.answer').innerHTML()).toBe(
      '<p>A <strong>whole</strong> answer</p><p>&lt;img src=x onerror=alert(1)&gt;</p>',
    );
    await page.getByText('Remembered 1 earlier exchange').click();
    expect(await page.locator('.recalled li').textContent()).toContain('The <b>code</b> word?');
    const spoken = await page.locator('#announcer').textContent();
    expect(spoken).toContain('The answer starts again.');
  });

  it('shows tool calls and sources of a stored turn, folded', async () => {
    const page = await openPage();
    await askOnPage(page, 'Where is my order?');
    const stored = {
      turn_id: 't1',
      created_at: 1_700_000_000,
      prompt: 'Where is my order?',
      response: 'One moment.It is lost.',
      media: [],
      messages: [
        { role: 'user', parts: [{ type: 'text', text: 'Where is my order?' }] },
        {
          role: 'assistant',
          parts: [
            { type: 'reasoning', text: 'Look it up.' },
            { type: 'text', text: 'One moment.' },
            { type: 'tool-call', call_id: 'a', name: 'find_order', input: { id: 7 } },
            { type: 'tool-call', call_id: 'b', name: 'find_label', input: {} },
          ],
        },
        {
          role: 'tool',
          parts: [
            {
              type: 'tool-result',
              call_id: 'a',
              name: 'find_order',
              output: '<b>lost</b>',
              media: [{ kind: 'image', name: 'label.png' }],
            },
            { type: 'tool-result', call_id: 'b', name: 'find_label', output: 'No label.', is_error: true },
          ],
        },
        {
          role: 'assistant',
          parts: [
            { type: 'text', text: 'It is ' },
            { type: 'text', text: 'lost.' },
            { type: 'file', mime_type: 'image/png', fingerprint: 'dd', bytes: 1200, name: 'chart.png' },
            { type: 'source', kind: 'web', title: 'Orders', url: 'https://shop.example/7' },
            { type: 'source', kind: 'web', title: 'Trap', url: 'javascript:alert(1)' },
            { type: 'later-than-this-page' },
          ],
        },
      ],
    };
    await page.route('**/sessions/*', (route) =>
      route.fulfill({ json: { session_id: 's', turns: [stored] } }),
    );
    await page.reload();
    await answers(page).first().waitFor();
    expect(await page.locator('.answer p').allTextContents()).toEqual(['One moment.', 'It is lost.']);

    const steps = page.locator('.steps');
    expect(await steps.locator('summary').allTextContents()).toEqual([
      'Made 2 tool calls',
      'Based on 2 sources',
    ]);
    expect(await steps.locator('pre').first().isVisible()).toBe(false);
    for (const summary of await steps.locator('summary').all()) await summary.click();
    expect(await steps.locator('ol > li', { has: page.locator('code') }).allTextContents()).toEqual([
      'find_order{\n  "id": 7\n}Result:<b>lost</b>label.png',
      'find_label{}It failed:No label.',
    ]);
    // The server has no such file.
    await page.locator('.made small', { hasText: 'no such generated file' }).waitFor();
    expect(
      await steps.locator('a').evaluateAll((links) => links.map((link) => link.getAttribute('href'))),
    ).toEqual(['https://shop.example/7']);
    await page.screenshot({ path: join(screenshots, 'stored-steps.png') });
  });

  it('shows an error as a sentence and asks again', async () => {
    const page = await openPage();
    let calls = 0;
    await page.route('**/infer', (route) => {
      calls += 1;
      if (calls > 1) return route.fulfill(eventStream(['text', { text: 'There.' }], doneWith('There.')));
      const error = {
        code: 'KEY_POOL_EXHAUSTED',
        message: 'Every key is cooling down.',
        retry_after_ms: 7000,
      };
      return route.fulfill({ status: 503, json: { detail: error.message, error } });
    });
    await page.getByLabel('Message', { exact: true }).fill('Hello?');
    await page.keyboard.press('Enter');
    const problem = page.locator('.problem');
    expect(await problem.locator('p').textContent()).toBe('Every key is cooling down. Try again in 7 s.');
    await problem.getByRole('button', { name: 'Try again' }).click();
    await page.locator('.facts').waitFor();
    expect(await page.locator('.turn').allTextContents()).toEqual([expect.stringContaining('There.')]);
  });

  it('reports a connection that breaks off half-way', async () => {
    const page = await openPage();
    await page.route('**/infer', (route) => route.fulfill(eventStream(['text', { text: 'Half' }])));
    await page.getByLabel('Message', { exact: true }).fill('Hello?');
    await page.keyboard.press('Enter');
    expect(await page.locator('.problem p').textContent()).toBe(
      'The connection broke off in the middle of the answer.',
    );
    expect(await page.locator('.answer').textContent()).toBe('Half');
  });

  it('stops an answer with Escape, and the server stops too', async () => {
    // Slow enough that the answer is never complete before Escape, however busy the machine.
    const emulator = await startGeminiEmulator({ chunkDelayMs: 30_000 });
    const { path, remove: removeSlow } = await makeServerDirectory();
    const slow = await startServer(path, {
      GEMINI_API_KEY: 'slow-key-0001',
      GOOGLE_GEMINI_BASE_URL: emulator.url,
    });
    onTestFinished(async () => {
      await slow.stop();
      await emulator.close();
      await removeSlow();
    });
    const page = await openPage({}, slow.url);
    await page.getByLabel('Message', { exact: true }).fill('A long story');
    await page.keyboard.press('Enter');
    await page.locator('.answer.is-streaming').waitFor();
    await page.getByRole('button', { name: 'Stop the answer' }).waitFor();
    await page.keyboard.press('Escape');
    expect(await page.locator('.problem p').textContent()).toBe('Stopped. This exchange is not remembered.');
    await slow.shows('status=499');
    await emulator.whenIdle();
    emulator.expectCalls({ operation: 'generate', aborted: true }, 1);
  });

  it('accepts dropped and pasted files, and removes them again', async () => {
    const page = await openPage();
    const hand = (type: 'drop' | 'paste', name: string) =>
      page.evaluate(
        ([event, file]) => {
          const data = new DataTransfer();
          data.items.add(new File(['notes'], file as string, { type: 'text/plain' }));
          document.body.dispatchEvent(
            event === 'drop'
              ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
              : new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
          );
        },
        [type, name],
      );
    await hand('drop', 'dropped.txt');
    await hand('paste', 'pasted.txt');
    expect(await page.locator('.attachment b').allTextContents()).toEqual(['dropped.txt', 'pasted.txt']);
    await page.getByRole('button', { name: 'Remove dropped.txt' }).click();
    expect(await askOnPage(page, 'What do the notes say?')).toContain('pasted.txt');
    expect(await page.locator('.attachment').count()).toBe(0);
  });

  it('shows what is wrong with a file', async () => {
    const page = await openPage();
    const fake = {
      name: 'fake.mp4',
      mimeType: 'video/mp4',
      buffer: Buffer.from('this is only text\u0000\u0001'),
    };
    await page.setInputFiles('#files', [fake]);
    await page.getByLabel('Message', { exact: true }).fill('What happens?');
    await page.keyboard.press('Enter');
    expect(await page.locator('.problem p').textContent()).toMatch(/fake\.mp4.*\./);
  });

  it('works by keyboard alone, at the width of a small phone, in dark mode', async () => {
    const page = await openPage({ viewport: { width: 320, height: 640 }, colorScheme: 'dark' });
    await askOnPage(page, 'What is the main action?', ['clip.mp4']);
    await page.screenshot({ path: join(screenshots, 'phone-dark.png') });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBe(0);

    const focusedOutline = () =>
      page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineStyle);
    const reach = async (id: string) => {
      for (let presses = 0; presses < 60; presses += 1) {
        await page.keyboard.press('Tab');
        if (await page.evaluate((wanted) => document.activeElement?.id === wanted, id)) return;
      }
      throw new Error(`Tab never reaches #${id}.`);
    };
    await reach('toggle-keys');
    expect(await focusedOutline()).toBe('solid');
    await page.keyboard.press('Enter');
    const pool = page.getByRole('complementary', { name: 'Key pool' });
    await pool.getByText('key_1_...').waitFor();
    expect(await pool.getByRole('listitem').count()).toBe(3);
    await page.screenshot({ path: join(screenshots, 'phone-keys.png') });
    await page.keyboard.press('Escape');
    expect(await pool.isVisible()).toBe(false);

    await reach('open-sidebar');
    await page.keyboard.press('Enter');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('new-session');
    await page.keyboard.press('Enter');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('prompt');
    expect(await page.locator('#welcome').isVisible()).toBe(true);
  });

  it('asks for the token if the server requires one, and goes on with it', async () => {
    const { path, remove: removeGuarded } = await makeServerDirectory();
    const guarded = await startServer(path, { API_TOKEN: 'correct-horse-battery' });
    onTestFinished(async () => {
      await guarded.stop();
      await removeGuarded();
    });
    const page = await openPage({}, guarded.url);
    await page.getByLabel('Message', { exact: true }).fill('Hello');
    await page.keyboard.press('Enter');
    await page.getByLabel('Token', { exact: true }).fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('The token is not valid.').waitFor();
    await page.getByLabel('Token', { exact: true }).fill('correct-horse-battery');
    await page.keyboard.press('Enter');
    await page.locator('.facts').waitFor();
    await page.getByText('3/3 keys ready').waitFor();
  });
});
