/** Where services put the words of an error, in the order of preference. */
const wordFields = [
  'message',
  'detail',
  'error_description',
  'msg',
  'error',
  'errors',
  'title',
  'description',
];
const maxDepth = 4;
const maxCharacters = 1_000;
/** The words of a page are near its top. */
const maxPageCharacters = 10_000;

/** The words of a page: its title, else its text. */
function pageText(whole: string): string {
  const page = whole.slice(0, maxPageCharacters);
  const title = /<title[^>]*>([^<]+)/i.exec(page)?.[1];
  return title ?? page.replace(/<(script|style)\b[\s\S]*?<\/\1>/gi, ' ').replace(/<[^<>]*>/g, ' ');
}

/**
 * What an error reply says in words, whoever sent it: `{ message }`, `{ detail }`, `{ error: 'text' }`, lists
 * of those, a page, or plain text. Other JSON is quoted as it is. Empty if there is nothing.
 */
export function wordsOf(body: unknown): string {
  const words = findWords(body, 0) ?? (typeof body === 'object' && body !== null ? JSON.stringify(body) : '');
  return words.slice(0, maxCharacters).replace(/\s+/g, ' ').trim();
}

function findWords(value: unknown, depth: number): string | undefined {
  if (typeof value === 'string') {
    // Half a JSON reply says nothing.
    if (depth === 0 && /^\s*[[{]/.test(value)) return undefined;
    const text = /^\s*</.test(value) ? pageText(value) : value;
    return text.trim() === '' ? undefined : text;
  }
  if (depth > maxDepth || typeof value !== 'object' || value === null) return undefined;
  const found = Array.isArray(value)
    ? value
    : wordFields.map((name) => (value as Record<string, unknown>)[name]);
  for (const each of found) {
    const words = findWords(each, depth + 1);
    if (words !== undefined) return words;
  }
  return undefined;
}
