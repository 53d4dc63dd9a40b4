import type { WireContent } from '../wire/messages.js';

/** The message of the 400 for function calls and responses that do not follow one another. */
export function checkHistory(contents: readonly WireContent[]): string | undefined {
  for (const [at, content] of contents.entries()) {
    const calls = count(content, 'functionCall');
    const responses = count(content, 'functionResponse');
    const before = contents[at - 1];
    if (calls > 0) {
      if (before === undefined || before.role === 'model')
        return 'Please ensure that function call turn comes immediately after a user turn or after a function response turn.';
      if (count(contents[at + 1], 'functionResponse') !== calls)
        return 'Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.';
    }
    if (responses > 0 && count(before, 'functionCall') === 0)
      return 'Please ensure that function response turn comes immediately after a function call turn.';
  }
  return undefined;
}

const count = (content: WireContent | undefined, kind: 'functionCall' | 'functionResponse'): number =>
  content?.parts?.filter((part) => part[kind] !== undefined).length ?? 0;
