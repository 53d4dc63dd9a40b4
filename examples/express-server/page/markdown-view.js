// The tree of an answer -> DOM nodes. Model text never reaches innerHTML.

import { parseMarkdown } from './markdown.js';

/** Renders the text into `container`, touching only the blocks that changed since the last time. */
export function renderMarkdown(container, text) {
  const blocks = parseMarkdown(text);
  for (const [index, block] of blocks.entries()) {
    const source = JSON.stringify(block);
    const shown = container.children[index];
    if (shown?.markdownSource === source) continue;
    const node = blockToNode(block);
    node.markdownSource = source;
    if (shown) shown.replaceWith(node);
    else container.append(node);
  }
  while (container.children.length > blocks.length) container.lastElementChild.remove();
}

function make(tag, children = []) {
  const node = document.createElement(tag);
  node.append(...children);
  return node;
}

function blockToNode(block) {
  switch (block.type) {
    case 'heading':
      // The page itself has h1 and h2.
      return make(`h${Math.min(6, block.level + 2)}`, inlineToNodes(block.content));
    case 'code':
      return codeToNode(block);
    case 'rule':
      return make('hr');
    case 'quote':
      return make('blockquote', block.blocks.map(blockToNode));
    case 'list': {
      const list = make(
        block.ordered ? 'ol' : 'ul',
        block.items.map((blocks) => make('li', itemToNodes(blocks))),
      );
      if (block.ordered && block.start !== 1) list.start = block.start;
      return list;
    }
    case 'table':
      return tableToNode(block);
    default:
      return make('p', inlineToNodes(block.content));
  }
}

/** The first paragraph of an item stands beside its bullet, without a margin of its own. */
function itemToNodes(blocks) {
  return blocks.flatMap((block, index) =>
    index === 0 && block.type === 'paragraph' ? inlineToNodes(block.content) : [blockToNode(block)],
  );
}

function codeToNode({ language, text }) {
  const code = make('code', [text]);
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
  const head = make('div', [make('span', [language || 'code']), copy]);
  head.className = 'code-head';
  const pre = make('pre', [code]);
  pre.tabIndex = 0;
  const figure = make('figure', [head, pre]);
  figure.className = 'code';
  return figure;
}

function tableToNode({ head, rows }) {
  const row = (cells, tag) =>
    make(
      'tr',
      cells.map((cell) => make(tag, inlineToNodes(cell))),
    );
  const table = make('table', [
    make('thead', [row(head, 'th')]),
    make(
      'tbody',
      rows.map((cells) => row(cells, 'td')),
    ),
  ]);
  const scroller = make('div', [table]);
  scroller.className = 'table-scroller';
  return scroller;
}

function inlineToNodes(content) {
  return content.map((node) => {
    if (typeof node === 'string') return document.createTextNode(node);
    if (node.type === 'code') return make('code', [node.text]);
    if (node.type === 'break') return make('br');
    if (node.type === 'link') {
      const link = make('a', inlineToNodes(node.content));
      link.href = node.href;
      link.target = '_blank';
      link.rel = 'noopener noreferrer';
      return link;
    }
    return make({ strong: 'strong', em: 'em', struck: 's' }[node.type], inlineToNodes(node.content));
  });
}
