import type { PreparedMedia } from '../../core/media.js';
import type { Message, MessagePart, SourcePart, ToolCallPart, ToolResultPart } from '../../core/message.js';
import { textOfMessages } from '../../core/message.js';
import { addUsage, type Usage } from '../../core/usage.js';
import type { GeneratedFile, ModelMessage, ModelPart } from '../../model/chat-model.js';
import { mediaParts, nameFile } from '../context/describe.js';
import { estimateMessageTokens } from '../context/history.js';
import type { Answer } from '../generate/generate.js';
import type { ChatStreamEvent } from '../reply.js';
import type { ToolOutcome } from './run-tool.js';

/** Between the texts of two steps. */
const stepBreak = '\n\n';

/** The steps of one turn: what was said and done so far. */
export class TurnRecord {
  readonly #messages: Message[] = [];
  /** Media of results, by the id of their call. */
  readonly #media = new Map<string, readonly PreparedMedia[]>();
  readonly #answers: Answer[] = [];
  /** What was shown of the finished steps. */
  readonly #shown: ChatStreamEvent[] = [];
  #text = '';

  /** @param messages Of an earlier run of the same turn; `media` are those of their results, as far as they were kept. */
  constructor(messages: readonly Message[] = [], media: readonly PreparedMedia[] = []) {
    for (const message of messages) {
      this.#messages.push(message);
      if (message.role === 'assistant')
        this.#text = joined(this.#text, textOfMessages([message], 'assistant'));
      for (const part of message.parts) {
        const found = part.type === 'tool-result' ? mediaOf(part, media) : [];
        if (part.type === 'tool-result') this.#media.set(part.callId, found);
        const event = toEvent(part, found);
        if (event) this.#shown.push(event);
      }
    }
  }

  get messages(): readonly Message[] {
    return [...this.#messages];
  }

  get answers(): readonly Answer[] {
    return this.#answers;
  }

  /** The text of all steps. */
  get text(): string {
    return this.#text;
  }

  get shown(): readonly ChatStreamEvent[] {
    return this.#shown;
  }

  get media(): readonly PreparedMedia[] {
    return [...this.#media.values()].flat();
  }

  get files(): readonly GeneratedFile[] {
    return this.#answers.flatMap(({ files }) => files);
  }

  /** The counts of all steps. */
  get usage(): Usage | undefined {
    return this.#answers.map(({ finish }) => finish.usage).reduce(addUsage, undefined);
  }

  /** What stands before the text of the next step. */
  get breakBefore(): string {
    return this.#text === '' ? '' : stepBreak;
  }

  /** Calls of the last step that have no result. */
  get openCalls(): readonly ToolCallPart[] {
    const at = this.#messages.map(({ role }) => role).lastIndexOf('assistant');
    const done = new Set(
      this.#messages[at + 1]?.parts.map((part) => (part.type === 'tool-result' ? part.callId : '')),
    );
    const calls = this.#messages[at]?.parts.filter((part) => part.type === 'tool-call') ?? [];
    return calls.filter(({ callId }) => !done.has(callId));
  }

  /** The steps as they go back to a model. */
  get modelMessages(): readonly ModelMessage[] {
    return this.#messages.map(({ origin, parts, providerMetadata, role }) => ({
      role,
      parts: parts.flatMap((part) => this.#toModelPart(part)),
      ...(origin && { origin }),
      ...(providerMetadata && { providerMetadata }),
    }));
  }

  get estimatedTokens(): number {
    const messages = this.modelMessages.reduce((sum, message) => sum + estimateMessageTokens(message), 0);
    return messages + this.media.reduce((sum, media) => sum + media.estimatedTokens, 0);
  }

  /** @param shown What was shown of it, the break before its text included. */
  addAnswer(answer: Answer, shown: readonly ChatStreamEvent[]): void {
    const { finish, model, provider } = answer;
    const by = joined(this.#text, answer.text).length - answer.text.length;
    this.#messages.push({
      role: 'assistant',
      parts: finish.parts.map((part) => (part.type === 'source' ? moved(part, by) : part)),
      origin: { provider, model },
      ...(finish.info && { info: finish.info }),
    });
    this.#text = joined(this.#text, answer.text);
    this.#answers.push(answer);
    this.#shown.push(...shown);
  }

  /** Results of calls of the last step, in the order of the calls. Those that are there are replaced. */
  setResults(outcomes: readonly ToolOutcome[]): void {
    const last = this.#messages.at(-1);
    const before = last?.role === 'tool' ? last.parts : [];
    if (last?.role === 'tool') this.#messages.pop();
    const asked = this.#messages.at(-1)?.parts ?? [];
    const results = new Map(
      before.flatMap((part) => (part.type === 'tool-result' ? [[part.callId, part]] : [])),
    );
    for (const { media, result } of outcomes) {
      results.set(result.callId, result);
      this.#media.set(result.callId, media);
    }
    const parts = asked.flatMap((part) =>
      part.type === 'tool-call' ? (results.get(part.callId) ?? []) : [],
    );
    if (parts.length > 0) this.#messages.push({ role: 'tool', parts });
  }

  addShown(event: ChatStreamEvent): void {
    this.#shown.push(event);
  }

  #toModelPart(part: MessagePart): readonly ModelPart[] {
    switch (part.type) {
      case 'media':
      case 'source':
        return [];
      case 'file':
        return [nameFile(part)];
      case 'tool-result': {
        const { media: _, ...result } = part;
        const parts = (this.#media.get(part.callId) ?? []).flatMap(mediaParts);
        return [parts.length > 0 ? { ...result, parts } : result];
      }
      default:
        return [part];
    }
  }
}

const joined = (before: string, text: string) =>
  before === '' || text === '' ? before + text : `${before}${stepBreak}${text}`;

/** Spans of a step count from its own first character. */
export function moved(source: SourcePart, by: number): SourcePart {
  if (by === 0 || source.spans === undefined) return source;
  return { ...source, spans: source.spans.map(({ end, start }) => ({ start: start + by, end: end + by })) };
}

const mediaOf = (result: ToolResultPart, media: readonly PreparedMedia[]) =>
  (result.media ?? []).flatMap(
    ({ fingerprint }) => media.find((each) => each.fingerprint === fingerprint) ?? [],
  );

function toEvent(part: MessagePart, media: readonly PreparedMedia[]): ChatStreamEvent | undefined {
  switch (part.type) {
    case 'text':
      return part.text === '' ? undefined : { type: 'text', text: part.text };
    case 'tool-call':
      return { type: 'tool-call', call: part };
    case 'tool-result':
      return { type: 'tool-result', result: part, media };
    case 'code':
      return { type: 'code', code: part };
    case 'code-result':
      return { type: 'code-result', result: part };
    case 'source':
      return { type: 'source', source: part };
    default:
      return undefined;
  }
}
