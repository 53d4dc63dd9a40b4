// Markdown of an answer -> a plain tree. Pure, and valid at any moment of a stream.

/** Deeper nesting is shown as plain text, which bounds the recursion. */
const deepestNesting = 8;

const fencePattern = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const headingPattern = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const rulePattern = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const quotePattern = /^ {0,3}> ?/;
const itemPattern = /^(\s*)([-*+]|\d{1,9}[.)])(\s+|$)(.*)$/;
const tableRulePattern = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

const indentOf = (line) => line.length - line.trimStart().length;
const isBlank = (line) => line.trim() === '';

function startsBlock(line) {
  return [fencePattern, headingPattern, rulePattern, quotePattern, itemPattern].some((p) => p.test(line));
}

/** Parses a text into blocks. Any text is valid, also one that is still arriving. */
export function parseMarkdown(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, '\n').replaceAll('\t', '    ').split('\n');
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const [block, next] = readBlock(lines, at, depth);
    blocks.push(block);
    at = next;
  }
  return blocks;
}

/** Reads one block; returns it and the line at which the next one starts. */
function readBlock(lines, at, depth) {
  const line = lines[at];
  const heading = headingPattern.exec(line);
  if (heading)
    return [{ type: 'heading', level: heading[1].length, content: parseInline(heading[2]) }, at + 1];
  const fence = fencePattern.exec(line);
  if (fence) return readCode(lines, at, fence);
  if (rulePattern.test(line)) return [{ type: 'rule' }, at + 1];
  if (depth < deepestNesting) {
    if (quotePattern.test(line)) return readQuote(lines, at, depth);
    if (itemPattern.test(line)) return readList(lines, at, depth);
  }
  if (line.includes('|') && tableRulePattern.test(lines[at + 1] ?? '')) return readTable(lines, at);
  return readParagraph(lines, at);
}

function readCode(lines, at, [, marks, language]) {
  const indent = indentOf(lines[at]);
  const isEnd = (line) => line.trim().startsWith(marks) && /^(`+|~+)$/.test(line.trim());
  const code = [];
  let next = at + 1;
  while (next < lines.length && !isEnd(lines[next])) {
    code.push(lines[next].slice(Math.min(indent, indentOf(lines[next]))));
    next += 1;
  }
  return [{ type: 'code', language, text: code.join('\n') }, next + 1];
}

function readQuote(lines, at, depth) {
  let next = at;
  while (next < lines.length && quotePattern.test(lines[next])) next += 1;
  const inner = lines.slice(at, next).map((line) => line.replace(quotePattern, ''));
  return [{ type: 'quote', blocks: parseMarkdown(inner.join('\n'), depth + 1) }, next];
}

function readList(lines, at, depth) {
  const [, margin, marker] = itemPattern.exec(lines[at]);
  const ordered = /\d/.test(marker);
  const isSibling = (line) => {
    const item = itemPattern.exec(line);
    return item !== null && item[1].length <= margin.length + 1 && /\d/.test(item[2]) === ordered;
  };
  const items = [];
  let next = at;
  while (next < lines.length && isSibling(lines[next]) && !rulePattern.test(lines[next])) {
    const [, before, mark, gap, first] = itemPattern.exec(lines[next]);
    const contentIndent = before.length + mark.length + Math.max(1, Math.min(gap.length, 4));
    const inner = [first];
    next += 1;
    while (next < lines.length && belongsToItem(lines, next, before.length)) {
      inner.push(lines[next].slice(Math.min(contentIndent, indentOf(lines[next]))));
      next += 1;
    }
    items.push(parseMarkdown(inner.join('\n'), depth + 1));
    // Items may be set apart by blank lines.
    let following = next;
    while (following < lines.length && isBlank(lines[following])) following += 1;
    if (following < lines.length && isSibling(lines[following])) next = following;
  }
  return [{ type: 'list', ordered, start: ordered ? Number.parseInt(marker, 10) : 1, items }, next];
}

/** Whether the line continues an item: it is indented deeper, or plain text straight under the item's. */
function belongsToItem(lines, at, margin) {
  const line = lines[at];
  if (isBlank(line)) {
    const following = lines.slice(at + 1).find((other) => !isBlank(other));
    return following !== undefined && indentOf(following) >= margin + 2;
  }
  if (indentOf(line) >= margin + 2) return true;
  return !isBlank(lines[at - 1]) && !startsBlock(line);
}

const cellsOf = (line) =>
  line
    .trim()
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => parseInline(cell.trim().replaceAll('\\|', '|')));

function readTable(lines, at) {
  const head = cellsOf(lines[at]);
  const rows = [];
  let next = at + 2;
  while (next < lines.length && !isBlank(lines[next]) && lines[next].includes('|')) {
    rows.push(cellsOf(lines[next]));
    next += 1;
  }
  return [{ type: 'table', head, rows }, next];
}

function readParagraph(lines, at) {
  let next = at + 1;
  while (next < lines.length && !isBlank(lines[next]) && !startsBlock(lines[next])) next += 1;
  const text = lines.slice(at, next).map((line) => line.trimStart());
  return [{ type: 'paragraph', content: parseInline(text.join('\n').trimEnd()) }, next];
}

// In the order of precedence: escape, code, image or link, bold, italic, struck out, bare URL, line end.
const inlinePattern = new RegExp(
  [
    String.raw`\\(?<escaped>[\\\`*_{}[\]()#+\-.!|>~])`,
    String.raw`(?<ticks>\`+)(?<code>[^\`]|[^\`][\s\S]*?[^\`])\k<ticks>(?!\`)`,
    String.raw`!?\[(?<label>[^[\]\n]{1,500})\]\((?<target>[^\s()<>]{1,2000}(?:\([^\s()]*\)[^\s()]*)?)(?:\s+"[^"\n]*")?\)`,
    String.raw`(?<strongMark>\*\*|__)(?=\S)(?<strong>[^\n]*?\S)\k<strongMark>(?!\w)`,
    String.raw`\*(?=[^\s*])(?<em>[^*\n]*[^\s*])\*(?!\*)`,
    String.raw`(?<!\w)_(?=[^\s_])(?<underscored>[^_\n]*[^\s_])_(?!\w)`,
    String.raw`~~(?=\S)(?<struck>[^~\n]*\S)~~`,
    String.raw`<?(?<url>https?:\/\/[^\s<>()\[\]"\`*]*[^\s<>()\[\]"\`*.,;:!?'”’»])>?`,
    String.raw`(?<newline> *\n)`,
  ].join('|'),
  'g',
);

/** Parses running text: strings and `strong`, `em`, `struck`, `code`, `link` and `break` nodes. */
export function parseInline(text, depth = 0) {
  if (depth > deepestNesting) return [text];
  const nodes = [];
  let plain = '';
  const push = (node) => {
    if (plain !== '') nodes.push(plain);
    plain = '';
    nodes.push(node);
  };
  let from = 0;
  for (const match of text.matchAll(inlinePattern)) {
    plain += text.slice(from, match.index);
    from = match.index + match[0].length;
    const found = match.groups;
    const inner = (value) => parseInline(value, depth + 1);
    const emphasis = found.em ?? found.underscored;
    if (found.escaped !== undefined) plain += found.escaped;
    else if (found.code !== undefined) push({ type: 'code', text: found.code.replace(/^ (.+) $/, '$1') });
    else if (found.label !== undefined) {
      const href = safeHref(found.target);
      if (href) push({ type: 'link', href, content: inner(found.label) });
      else plain += match[0];
    } else if (found.strong !== undefined) push({ type: 'strong', content: inner(found.strong) });
    else if (emphasis !== undefined) push({ type: 'em', content: inner(emphasis) });
    else if (found.struck !== undefined) push({ type: 'struck', content: inner(found.struck) });
    else if (found.url !== undefined) {
      const href = safeHref(found.url);
      if (href) push({ type: 'link', href, content: [found.url] });
      else plain += match[0];
    } else push({ type: 'break' });
  }
  plain += text.slice(from);
  if (plain !== '') nodes.push(plain);
  return nodes;
}

/** Only web addresses: a link may not run code or open a local file. */
export function safeHref(target) {
  if (!/^https?:\/\//i.test(target) || !URL.canParse(target)) return undefined;
  return new URL(target).href;
}
