/** Longer than any that is looked for here. */
const maxChars = 1000;

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };

/** The string behind the first match of `before`, in either notation of a PDF; empty if there is none. */
export function readPdfString(content: string, before: RegExp): Buffer {
  const match = before.exec(content);
  if (!match) return Buffer.alloc(0);
  const start = match.index + match[0].length;
  const text = content.slice(start, start + maxChars);
  if (text.startsWith('<'))
    return Buffer.from(text.slice(1).split('>', 1)[0]?.replace(/\s/g, '') ?? '', 'hex');
  let [string, depth] = ['', 1];
  for (const [token] of text.slice(1).matchAll(/\\(?:[0-7]{1,3}|\r\n|[\s\S])|\r\n?|[\s\S]/g)) {
    if (token === '(') depth += 1;
    if (token === ')') depth -= 1;
    if (depth === 0) break;
    string += unescaped(token);
  }
  return Buffer.from(string, 'latin1');
}

function unescaped(token: string): string {
  if (!token.startsWith('\\')) return token.startsWith('\r') ? '\n' : token;
  const escaped = token.slice(1);
  if (/^[0-7]/.test(escaped)) return String.fromCharCode(Number.parseInt(escaped, 8) & 255);
  // An escaped line break continues the line.
  return /^[\r\n]/.test(escaped) ? '' : (escapes[escaped] ?? escaped);
}
