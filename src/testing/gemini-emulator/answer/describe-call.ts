import { describeInlineData, type RecordedCall } from '../journal/recorded-call.js';
import type { WireContent, WireGenerateRequest, WirePart } from '../wire/messages.js';
import { callPart } from './answer-parts.js';
import type { AnswerContent } from './emulated-answer.js';
import { sampleValue } from './sample-value.js';

const firstLine = 'This is the Gemini emulator of multimodal-chat, not Gemini: no model has read this.';

/** Calls the functions that the prompt names, else describes what arrived: a demo without a key shows the real pipeline. */
export function answerCall(call: RecordedCall): AnswerContent {
  const { toolConfig, tools = [] } = (call.body ?? {}) as WireGenerateRequest;
  const prompt = promptOf(call.contents.at(-1)) ?? '';
  const words = new Set(prompt.match(/[\w.-]*\w/g));
  const named =
    toolConfig?.functionCallingConfig?.mode === 'NONE'
      ? []
      : tools
          .flatMap(({ functionDeclarations = [] }) => functionDeclarations)
          .filter(({ name = '' }) => words.has(name));
  if (named.length === 0) return describeCall(call);
  return {
    parts: named.map(({ name = '', parameters, parametersJsonSchema }) => {
      const args = sampleValue(parametersJsonSchema ?? parameters, prompt);
      return callPart(name, args === null ? {} : (args as Record<string, unknown>));
    }),
  };
}

export function describeCall(call: RecordedCall): string {
  const { contents } = call;
  const lines = [firstLine];
  const last = contents.at(-1);
  const prompt = promptOf(last);
  const results = (last?.parts ?? []).flatMap(({ functionResponse }) => functionResponse ?? []);
  if (prompt !== undefined) lines.push(`You asked: “${quote(prompt)}”`);
  else if (results.length === 0) lines.push('The request had no prompt text.');
  lines.push(
    ...results.map(({ name, response }) => `${name} gave: “${quote(JSON.stringify(response) ?? '')}”`),
  );
  lines.push(...describeHistory(contents.slice(0, -1)));
  lines.push(...otherTexts(last, prompt).map((text) => `Before it stood: “${quote(text)}”`));
  lines.push(...contents.flatMap((content) => describeMedia(content, content === last)));
  const instruction = call.systemInstruction;
  if (instruction) lines.push(`The system instruction reads: “${quote(instruction)}”`);
  const { generationConfig, tools = [] } = (call.body ?? {}) as WireGenerateRequest;
  const offered = tools.flatMap((tool) => Object.keys(tool));
  if (offered.length > 0)
    lines.push(
      `The request offers ${offered.join(', ')}: sources, code and results of the emulator are made up.`,
    );
  if (generationConfig?.responseMimeType !== 'application/json') return lines.join('\n');
  const { responseJsonSchema: schema } = generationConfig;
  return JSON.stringify(
    schema === undefined ? { emulator: true, description: lines } : sampleValue(schema, lines.join(' ')),
  );
}

/** Texts beside the prompt that are not labels of media, such as recalled turns. */
const otherTexts = (content: WireContent | undefined, prompt: string | undefined): string[] =>
  textsOf(content, (_, isBeforeMedia) => !isBeforeMedia).filter((text) => text !== prompt);

/** The last text that is not the label of the media after it; other clients put the prompt before the media. */
export const promptOf = (content: WireContent | undefined): string | undefined =>
  textsOf(content, (_, isBeforeMedia) => !isBeforeMedia).at(-1) ??
  textsOf(content, (text) => !/^\[[^\]]*\]$/.test(text)).at(-1);

function textsOf(
  { parts = [] }: WireContent = {},
  isMeant: (text: string, isBeforeMedia: boolean) => boolean,
): string[] {
  return parts.flatMap(({ text }, index) =>
    text !== undefined && isMeant(text, isMedia(parts[index + 1])) ? [text] : [],
  );
}

function describeHistory(earlier: readonly WireContent[]): string[] {
  const asked = earlier.filter((content) => content.role === 'user');
  if (asked.length === 0) return ['There were no earlier turns in the request.'];
  const shown = asked.slice(-3).map((content) => `“${quote(promptOf(content) ?? '', 80)}”`);
  const count = asked.length === 1 ? '1 earlier turn' : `${asked.length} earlier turns`;
  return [`The request had ${count}. Asked before, oldest first: ${shown.join(', ')}.`];
}

const isMedia = (part: WirePart | undefined) =>
  part?.inlineData !== undefined || part?.fileData !== undefined;

function describeMedia(content: WireContent, isCurrent: boolean): string[] {
  const parts = content.parts ?? [];
  const prompt = promptOf(content);
  const pictures: string[] = [];
  const others: string[] = [];
  parts.forEach((part, index) => {
    if (part.fileData) others.push(`file ${part.fileData.fileUri ?? ''} (${part.fileData.mimeType ?? '?'})`);
    if (!part.inlineData) return;
    const mimeType = part.inlineData.mimeType ?? '?';
    const { bytes, size } = describeInlineData(part);
    const before = parts[index - 1]?.text;
    const label = before === prompt ? undefined : before;
    if (!mimeType.startsWith('image/')) {
      others.push(`${mimeType}, ${kilobytes(bytes)}${label ? ` (${quote(label, 80)})` : ''}`);
      return;
    }
    const pixels = size ? `${size.width}×${size.height}` : 'unreadable';
    const facts = `${pixels} ${mimeType.slice('image/'.length)}, ${kilobytes(bytes)}`;
    pictures.push(label === undefined ? facts : `${quote(label, 80)} (${facts})`);
  });
  const where = isCurrent ? '' : ' in an earlier turn';
  const lines: string[] = [];
  if (pictures.length > 0)
    lines.push(
      `It came with ${pictures.length === 1 ? '1 picture' : `${pictures.length} pictures`}${where}: ${pictures.join('; ')}.`,
    );
  if (others.length > 0) lines.push(`Also received${where}: ${others.join('; ')}.`);
  return lines;
}

const kilobytes = (bytes: number) => (bytes < 1000 ? `${bytes} bytes` : `${Math.round(bytes / 1000)} kB`);

function quote(text: string, maxCharacters = 200): string {
  const flat = text.replace(/\s+/g, ' ').trim();
  const characters = [...flat];
  return characters.length <= maxCharacters ? flat : `${characters.slice(0, maxCharacters - 1).join('')}…`;
}
