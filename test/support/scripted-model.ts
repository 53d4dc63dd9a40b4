import { createHash } from 'node:crypto';
import type {
  ChatModel,
  Failure,
  GeneratedFile,
  ModelCapabilities,
  ModelEvent,
  ModelRequest,
  ModelStreamOptions,
} from '../../src/index.js';
import { ModelCallError } from '../../src/index.js';

type Finish = Extract<ModelEvent, { type: 'finish' }>;
type Said = Exclude<ModelEvent, Finish>;

/** What one call gives: events and the rest of its `finish`, or a failure after the events. */
export interface ScriptedAnswer {
  readonly says?: readonly (Said | string)[];
  readonly failure?: Failure;
  readonly finish?: Partial<Omit<Finish, 'type'>>;
}

export interface ScriptedModel extends ChatModel {
  readonly requests: ModelRequest[];
  readonly keys: (string | undefined)[];
}

export interface ScriptedModelOptions {
  readonly provider?: string;
  readonly name?: string;
  readonly needsKey?: boolean;
  readonly capabilities?: Partial<ModelCapabilities>;
}

const images = { inline: ['image/png', 'image/jpeg', 'audio/wav'] };

/** A model of another provider whose every call is answered by `answer`. */
export function scriptedModel(
  answer: (request: ModelRequest, call: number) => ScriptedAnswer,
  { capabilities, name = 'acme-1', needsKey = false, provider = 'acme' }: ScriptedModelOptions = {},
): ScriptedModel {
  const requests: ModelRequest[] = [];
  const keys: (string | undefined)[] = [];
  async function* stream(
    request: ModelRequest,
    options: ModelStreamOptions,
  ): AsyncGenerator<ModelEvent, void, undefined> {
    requests.push(request);
    keys.push(options.apiKey);
    const { failure, finish, says = [] } = answer(request, requests.length);
    const events = says.map((said) =>
      typeof said === 'string' ? ({ type: 'text', text: said } as const) : said,
    );
    for (const event of events) yield event;
    if (failure) throw new ModelCallError(failure);
    yield { type: 'finish', finishReason: 'stop', parts: events.flatMap(toPart), ...finish };
  }
  return {
    provider,
    models: { default: name },
    needsKey,
    capabilities: () => ({ media: images, ...capabilities }),
    stream,
    requests,
    keys,
  };
}

function toPart(event: Said): Finish['parts'] {
  switch (event.type) {
    case 'text':
      return [{ type: 'text', text: event.text }];
    case 'thought':
      return [{ type: 'reasoning', text: event.text }];
    case 'file': {
      const { data, fingerprint, mimeType, name } = event.file;
      return [{ type: 'file', mimeType, fingerprint, bytes: data.byteLength, name }];
    }
    case 'code':
      return [event.code];
    case 'code-result':
      return [event.result];
    case 'tool-call':
      return [event.call];
    case 'source':
      return [event.source];
  }
}

/** A generated file of this many bytes; the same seed makes the same one. */
export function generatedFile(seed: number, bytes = 100, name = 'image-1.png'): GeneratedFile {
  const data = new Uint8Array(bytes).fill(seed);
  return { mimeType: 'image/png', data, fingerprint: createHash('sha256').update(data).digest('hex'), name };
}
