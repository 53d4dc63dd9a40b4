import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { ChatStreamEvent } from 'multimodal-chat';
import { chatRouter } from 'multimodal-chat/express';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { renderPage } from '../../examples/express-server/page.js';
import { fakeChat } from '../support/fake-chat.js';
import { chromiumPath, howToGetChromium, openBrowser } from './chromium.js';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const isMissing = chromiumPath === undefined && !process.env.CI;

/** A text in pieces, as a model sends it. */
const piecesOf = (text: string, chars = 400): readonly ChatStreamEvent[] =>
  [...Array(Math.ceil(text.length / chars)).keys()].map((at) => ({
    type: 'text',
    text: text.slice(at * chars, (at + 1) * chars),
  }));

describe.skipIf(isMissing)(`Markdown on the page${isMissing ? ` (${howToGetChromium})` : ''}`, () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser?.close());

  async function show(text: string): Promise<Page> {
    const chat = fakeChat({ events: piecesOf(text), reply: { text } });
    const app = express().use(chatRouter(chat, { page: renderPage({ maxUploadBytes: 1e6 }) }));
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error.stack)));
    page.on('dialog', (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
    onTestFinished(async () => {
      await page.close();
      server.closeAllConnections();
      server.close();
      expect(complaints).toEqual([]);
    });
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await page.getByLabel('Message', { exact: true }).fill('Well?');
    await page.keyboard.press('Enter');
    await page.locator('.facts').waitFor();
    return page;
  }

  it.each<[string, string, string]>([
    ['paragraphs and breaks', 'One\nTwo\n\nThree', '<p>One<br>\nTwo</p><p>Three</p>'],
    ['headings below those of the page', '# A\n\n##### B', '<h3>A</h3><h6>B</h6>'],
    ['emphasis', '**a** *b* ~~c~~ `d`', '<p><strong>a</strong> <em>b</em> <s>c</s> <code>d</code></p>'],
    ['lists', '3. a\n4. b', '<ol start="3">\n<li>a</li>\n<li>b</li>\n</ol>'],
    ['HTML as text', '<b>a</b>', '<p>&lt;b&gt;a&lt;/b&gt;</p>'],
    [
      'links',
      '[a](https://a.example) https://b.example',
      '<p><a href="https://a.example" target="_blank" rel="noopener noreferrer">a</a> <a href="https://b.example" target="_blank" rel="noopener noreferrer">https://b.example</a></p>',
    ],
    [
      'pictures as links',
      '![a "<](https://a.example/?"x)',
      '<p><a href="https://a.example/?%22x" target="_blank" rel="noopener noreferrer">a "&lt;</a></p>',
    ],
  ])('shows %s', async (_what, text, html) => {
    expect(await (await show(text)).locator('.answer').innerHTML()).toBe(html);
  });

  it('shows code and tables in frames of their own', async () => {
    const page = await show('```js\nlet a;\n```\n\n| A | B |\n|---|--:|\n| 1 | 2 |\n\nEnd');
    expect(await page.locator('.answer figure.code').innerText()).toMatch(/^js\s+Copy\s+let a;\s*$/);
    expect(await page.locator('.answer .table-scroller td').allTextContents()).toEqual(['1', '2']);
  });

  it.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '[a](javascript:alert(1))',
    '[a](JaVaScRiPt&colon;alert(1))',
    '[a](data:text/html,<script>alert(1)</script>)',
    '[a](vbscript:x) <javascript:alert(1)>',
    '![a](javascript:alert(1)) ![x](x" onerror="alert(1))',
    '[a](https://a.example/"onmouseover="alert(1))',
    '```"><img src=x onerror=alert(1)>\ncode\n```',
    '<svg><style><!--</style><img src=x onerror=alert(1)>-->',
    '| a |\n|---|\n| <iframe src=javascript:alert(1)> |',
    '[a]: javascript:alert(1)\n\n[a]',
    '<a id="DOMPurify"></a><form name="body">',
  ])('runs nothing of %s', async (text) => {
    const page = await show(`${text}\n\nEnd`);
    const answer = page.locator('.answer');
    expect(
      await answer.locator('script, img, iframe, svg, form, style, [onerror], [onmouseover], [id]').count(),
    ).toBe(0);
    const links = answer.locator('a');
    for (const href of await links.evaluateAll((all) => all.map((link) => link.getAttribute('href'))))
      expect(href).toMatch(/^https?:\/\//);
  });

  it.each<[string, string]>([
    ['a heading of line separators', `# ${'\u2028'.repeat(3200)}a`],
    ['back-ticks of every length', [...Array(130).keys()].map((count) => '`'.repeat(count + 1)).join('a')],
    ['quotations in quotations', '> '.repeat(5_000)],
    ['open brackets', '[a]('.repeat(2_500)],
    ['emphasis that never ends', '**a *b __c '.repeat(900)],
    ['one long list', '- item\n'.repeat(1_400)],
    ['100 kB of code', `\`\`\`\n${'let a = 1;\n'.repeat(9_000)}`],
  ])('stays usable with %s', async (_what, text) => {
    const page = await show(text);
    // A frozen page would not answer before the timeout.
    expect(await page.evaluate(() => document.querySelectorAll('.answer > *').length)).toBeGreaterThan(0);
  });
});
