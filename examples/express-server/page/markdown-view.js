// Markdown of an answer -> DOM nodes, by markdown-it and DOMPurify.

/** What is longer is shown as it is: the worst texts take half a second for 100 000 characters. */
const maxChars = 100_000;

const allowed = {
  ALLOWED_TAGS:
    'a blockquote br code del em h3 h4 h5 h6 hr li ol p pre s strong table tbody td th thead tr ul'.split(
      ' ',
    ),
  ALLOWED_ATTR: ['class', 'href', 'start'],
  ADD_URI_SAFE_ATTR: ['start'],
  ALLOWED_URI_REGEXP: /^https?:\/\//i,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

const { DOMPurify, markdownit } = globalThis;
const markdown = markdownit({ breaks: true, linkify: true, maxNesting: 20 });
markdown.linkify.set({ fuzzyEmail: false, fuzzyIP: false, fuzzyLink: false });
// Only web addresses: a link may not run code or open a local file.
markdown.validateLink = (url) => /^https?:\/\//i.test(url);
markdown.renderer.rules.heading_open = (tokens, at) => `<${headingOf(tokens[at])}>`;
markdown.renderer.rules.heading_close = (tokens, at) => `</${headingOf(tokens[at])}>`;
// Showing a picture would tell its server who reads the answer.
markdown.renderer.rules.image = (tokens, at) => {
  const { escapeHtml } = markdown.utils;
  const url = escapeHtml(tokens[at].attrGet('src'));
  return `<a href="${url}">${escapeHtml(tokens[at].content) || url}</a>`;
};

/** The page itself has h1 and h2. */
const headingOf = ({ tag }) => `h${Math.min(6, Number(tag.slice(1)) + 2)}`;

/**
 * Shows a text in `container` that grows. A block that another one follows is settled: it is drawn once, and
 * again only with the whole text.
 */
export function createMarkdownView(container) {
  let settled = '';
  let growing = [];
  return {
    draw(text, isWhole) {
      const clean = text.replace(/\r\n?/g, '\n');
      if (isWhole || !clean.startsWith(settled)) {
        settled = '';
        growing = [];
        container.replaceChildren();
      }
      for (const node of growing) node.remove();
      let rest = clean.slice(settled.length);
      const end = isWhole || rest.length > maxChars ? 0 : startOfLastBlock(rest);
      if (end > 0) {
        container.append(...toNodes(rest.slice(0, end)));
        settled += rest.slice(0, end);
        rest = rest.slice(end);
      }
      growing = toNodes(rest);
      container.append(...growing);
    },
  };
}

function startOfLastBlock(text) {
  const blocks = markdown
    .parse(text, {})
    .filter(({ level, map, nesting }) => level === 0 && map && nesting >= 0);
  const line = blocks.at(-1)?.map[0] ?? 0;
  let at = 0;
  for (let passed = 0; passed < line; passed += 1) at = text.indexOf('\n', at) + 1;
  return at;
}

function toNodes(text) {
  if (text.length > maxChars) return [make('pre', [text])];
  const fragment = DOMPurify.sanitize(markdown.render(text), allowed);
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
  for (const pre of fragment.querySelectorAll('pre')) pre.replaceWith(codeView(pre));
  for (const table of fragment.querySelectorAll('table')) {
    const scroller = make('div', []);
    scroller.className = 'table-scroller';
    table.replaceWith(scroller);
    scroller.append(table);
  }
  return [...fragment.children];
}

function make(tag, children) {
  const node = document.createElement(tag);
  node.append(...children);
  return node;
}

function codeView(pre) {
  const language = /language-([\w+#.-]+)/.exec(pre.firstElementChild?.className ?? '')?.[1];
  const text = pre.textContent.replace(/\n$/, '');
  const copy = make('button', ['Copy']);
  copy.type = 'button';
  copy.className = 'copy-code';
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = 'Copied';
    setTimeout(() => {
      copy.textContent = 'Copy';
    }, 1500);
  });
  const head = make('div', [make('span', [language ?? 'code']), copy]);
  head.className = 'code-head';
  const shown = make('pre', [make('code', [text])]);
  shown.tabIndex = 0;
  const figure = make('figure', [head, shown]);
  figure.className = 'code';
  return figure;
}
