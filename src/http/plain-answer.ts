import type { Reply } from '../index.js';
import type { FileUrls } from './file-urls.js';

/** The answer as `text/plain`: its text, or what it holds in place of text. Never empty. */
export function plainAnswer(reply: Reply, urls: FileUrls): string {
  if (reply.text.trim() !== '') return reply.text;
  const contents = [
    ...reply.files.map(({ data, fingerprint, mimeType, name }) => {
      const url = urls.get(fingerprint);
      const place = url === undefined ? 'sent only with "Accept: application/json"' : `at ${url}`;
      return `a file: ${name} (${mimeType}, ${data.byteLength} bytes), ${place}`;
    }),
    ...reply.code.map(({ code, language, result }) => {
      const output = result && `\nIts output (${result.outcome}):\n${result.output}`;
      return `code${language ? ` in ${language}` : ''}:\n${code}${output ?? ''}`;
    }),
    ...reply.toolCalls.map(({ input, name }) => `a call of ${name} with ${JSON.stringify(input)}`),
  ];
  if (contents.length > 0)
    return `The answer has no text. It holds:\n${contents.map((each) => `- ${each}\n`).join('')}`;
  const ending = `The answer is empty (finish reason: ${reply.rawFinishReason ?? reply.finishReason}).`;
  return reply.finishMessage ? `${ending} ${reply.finishMessage}` : ending;
}
