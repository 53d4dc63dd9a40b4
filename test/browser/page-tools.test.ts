import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ServerProcess } from '../integration/server-process.js';
import { makeServerDirectory, startServer } from '../integration/server-process.js';
import { chromiumPath, howToGetChromium, openBrowser } from './chromium.js';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const screenshots = fileURLToPath(new URL('../screenshots/', import.meta.url));
const isMissing = chromiumPath === undefined && !process.env.CI;

describe.skipIf(isMissing)(`tools on the page${isMissing ? ` (${howToGetChromium})` : ''}`, () => {
  let directory: string;
  let remove: () => Promise<void>;
  let server: ServerProcess;
  let browser: Browser;

  beforeAll(async () => {
    ({ path: directory, remove } = await makeServerDirectory());
    server = await startServer(directory, { TOOLS: 'on' });
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    await remove?.();
  });

  async function openPage(): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1000, height: 800 } });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(server.url);
    return page;
  }

  async function ask(page: Page, prompt: string): Promise<void> {
    await page.getByLabel('Message', { exact: true }).fill(prompt);
    await page.keyboard.press('Enter');
  }

  const notes = () => readFile(join(directory, '.multimodal-chat', 'notes.txt'), 'utf8').catch(() => '');
  const answer = (page: Page) => page.locator('.turn').last().locator('.answer');

  it('run by themselves, and their results are shown with the answer', async () => {
    const page = await openPage();
    await ask(page, 'Ask current_time what time it is.');
    await page.locator('.facts').waitFor();
    expect(await answer(page).textContent()).toMatch(/current_time gave: “.*\d{4}-\d{2}-\d{2}T/);
    await page.getByText('Made 1 tool call').click();
    expect(await page.locator('.steps pre').last().textContent()).toMatch(/^\d{4}-\d{2}-\d{2}T/);
  });

  it('wait for the user, also after the page was loaded anew, and run once allowed', async () => {
    const page = await openPage();
    await ask(page, 'Use save_note to remember the milk.');
    await page.getByRole('button', { name: 'Allow save_note' }).waitFor();
    await page.screenshot({ path: join(screenshots, 'pending-call.png') });
    expect(await notes()).toBe('');
    await page.reload();
    expect(await page.locator('.pending pre').textContent()).toContain('remember the milk');
    await page.getByRole('button', { name: 'Allow save_note' }).click();
    await expect.poll(notes).toBe('Use save_note to remember the milk.\n');
    await expect
      .poll(() => answer(page).textContent())
      .toContain('save_note gave: “{"output":"The note is saved."}”');
    expect(await page.locator('.pending').count()).toBe(0);
    // Leaves before the end of the answer.
    await page.reload();
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.locator('.turn .answer', { hasText: 'The note is saved.' }).waitFor();
    await expect.poll(() => page.locator('#stop').isHidden()).toBe(true);
    expect(await notes()).toBe('Use save_note to remember the milk.\n');
    await page.reload();
    await page.locator('.facts').waitFor();
    expect(await page.locator('.pending').count()).toBe(0);
    expect(await answer(page).textContent()).toContain('The note is saved.');
  });

  it('do not run if the user says no', async () => {
    const before = await notes();
    const page = await openPage();
    await ask(page, 'Use save_note to forget the bread.');
    await page.getByRole('button', { name: 'Deny save_note' }).click();
    await expect.poll(() => answer(page).textContent()).toContain('The user did not allow this call.');
    expect(await notes()).toBe(before);
  });

  it('can be decided anew if an answer of the conversation is still coming', async () => {
    const page = await openPage();
    await ask(page, 'Use save_note to water the plants.');
    const allow = page.getByRole('button', { name: 'Allow save_note' });
    await allow.waitFor();
    let goOn: () => void = () => undefined;
    await page.route('**/infer', async (route) => {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      await route.abort();
    });
    await ask(page, 'Something else.');
    await page.locator('#stop').waitFor();
    await allow.click();
    expect(await allow.isEnabled()).toBe(true);
    goOn();
    await page.locator('.problem').waitFor();
    await allow.click();
    await expect.poll(notes).toContain('water the plants');
  });

  it('say why they cannot go on, once the conversation has', async () => {
    const page = await openPage();
    await ask(page, 'Use save_note to buy eggs.');
    const allow = page.getByRole('button', { name: 'Allow save_note' });
    await allow.waitFor();
    await ask(page, 'Something else.');
    await expect.poll(() => page.locator('.facts').count()).toBe(2);
    await allow.click();
    await page.locator('.problem', { hasText: 'is not the last one of its conversation' }).waitFor();
    expect(await notes()).not.toContain('eggs');
  });
});
