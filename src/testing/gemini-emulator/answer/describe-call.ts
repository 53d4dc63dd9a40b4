import { describeInlineData, type RecordedCall } from '../journal/recorded-call.js';
import type { WireContent, WireGenerateRequest, WirePart } from '../wire/messages.js';

const firstLine = 'This is the Gemini emulator of multimodal-chat, not Gemini: no model has read this.';

/** Describes what arrived, so that a demo without a key still shows the real pipeline. */
export function describeCall(call: RecordedCall): string {
  const { contents } = call;
  const lines = [firstLine];
  const last = contents.at(-1);
  const prompt = promptOf(last);
  lines.push(prompt === undefined ? 'The request had no prompt text.' : `You asked: “${quote(prompt)}”`);
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
  const wantsJson = generationConfig?.responseMimeType === 'application/json';
  return wantsJson ? JSON.stringify({ emulator: true, description: lines }) : lines.join('\n');
}

/** Texts beside the prompt that are not labels of media, such as recalled turns. */
function otherTexts(content: WireContent | undefined, prompt: string | undefined): string[] {
  const parts = content?.parts ?? [];
  return parts.flatMap((part, index) =>
    part.text === undefined || part.text === prompt || isMedia(parts[index + 1]) ? [] : [part.text],
  );
}

/** The last text that is not the label of the media after it. */
export function promptOf(content: WireContent | undefined): string | undefined {
  const parts = content?.parts ?? [];
  return parts.filter((part, index) => part.text !== undefined && !isMedia(parts[index + 1])).at(-1)?.text;
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
  const pictures: string[] = [];
  const others: string[] = [];
  parts.forEach((part, index) => {
    if (part.fileData) others.push(`file ${part.fileData.fileUri ?? ''} (${part.fileData.mimeType ?? '?'})`);
    if (!part.inlineData) return;
    const mimeType = part.inlineData.mimeType ?? '?';
    const { bytes, size } = describeInlineData(part);
    const label = parts[index - 1]?.text;
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
