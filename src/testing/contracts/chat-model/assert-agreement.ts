import assert from 'node:assert/strict';
import type { MessagePart } from '../../../core/message.js';
import type { ModelEvent } from '../../../model/chat-model.js';

type Finish = Extract<ModelEvent, { type: 'finish' }>;

/** Asserts that an answer's parts hold what its events said, and that its counts and facts are plain. */
export function assertAgreement(
  events: readonly ModelEvent[],
  { parts, usage = {}, info = {} }: Finish,
): void {
  const textsIn = (type: 'text' | 'reasoning') =>
    parts.map((part) => (part.type === type ? part.text : '')).join('');
  const textsOf = (type: 'text' | 'thought') =>
    events.map((event) => (event.type === type ? event.text : '')).join('');
  assert.equal(textsIn('text'), textsOf('text'));
  assert.equal(textsIn('reasoning'), textsOf('thought'));
  const said = events.flatMap((event) => describeEvent(event) ?? []);
  const kept = parts.flatMap((part) => describePart(part) ?? []);
  assert.deepEqual(sortByType(kept), sortByType(said));

  for (const [name, count] of Object.entries(usage))
    assert.ok(count === undefined || (Number.isInteger(count) && count >= 0), `${name} is ${count}`);
  assert.deepEqual(JSON.parse(JSON.stringify({ parts, info })), withoutUndefined({ parts, info }));
}

type Described = Readonly<Record<string, unknown>> & { readonly type: string };

function describeEvent(event: ModelEvent): Described | undefined {
  switch (event.type) {
    case 'file':
      return {
        type: 'file',
        mimeType: event.file.mimeType,
        fingerprint: event.file.fingerprint,
        bytes: event.file.data.byteLength,
      };
    case 'code':
      return describePart(event.code);
    case 'code-result':
      return describePart(event.result);
    case 'tool-call':
      return describePart(event.call);
    case 'source':
      return describePart(event.source);
    default:
      return undefined;
  }
}

function describePart(part: MessagePart): Described | undefined {
  switch (part.type) {
    case 'file': {
      const { type, mimeType, fingerprint, bytes } = part;
      return { type, mimeType, fingerprint, bytes };
    }
    case 'code':
    case 'code-result':
    case 'tool-call':
    case 'source': {
      const { providerMetadata: _, ...described } = part;
      return withoutUndefined(described);
    }
    default:
      return undefined;
  }
}

/** Sources may be known only at the end, wherever they stand in the record. */
const sortByType = (described: readonly Described[]) =>
  [...described].sort((one, other) => one.type.localeCompare(other.type));

/** A copy in which a field that is `undefined` is left out, at any depth, but nothing else changes. */
function withoutUndefined<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(withoutUndefined) as Value;
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutUndefined(field)])) as Value;
}
