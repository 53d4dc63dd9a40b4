import type { ModelMessage, ModelPart } from '../../model/chat-model.js';
import { labelGenerated, nameFile, plainName } from './describe.js';

/**
 * The messages without what only the model that wrote them understands: metadata and parts of a provider
 * are left out, code becomes text, and a generated file is shown in the user's next message. Tool calls
 * and their results become text unless `keepsCalls`.
 *
 * @param isMeant The messages to convert. Default: all.
 */
export function toPlain(
  messages: readonly ModelMessage[],
  {
    isMeant = () => true,
    keepsCalls = false,
  }: { isMeant?: (message: ModelMessage) => boolean; keepsCalls?: boolean } = {},
): readonly ModelMessage[] {
  const files: ModelPart[] = [];
  return messages.flatMap((message) => {
    let { parts, role } = message;
    if (isMeant(message)) {
      parts = parts.flatMap((part) => {
        if (role !== 'assistant' || part.type !== 'data') return plainPart(part, keepsCalls);
        const { providerMetadata: _, ...file } = part;
        files.push(labelGenerated(part), file);
        return [nameFile(part)];
      });
      if (role === 'tool' && !keepsCalls) role = 'user';
    } else if (files.length === 0) return [message];
    if (role === 'user') parts = [...files.splice(0), ...parts];
    if (parts.length === 0) return [];
    const { origin, providerMetadata } = message;
    const kept = isMeant(message) ? undefined : providerMetadata;
    return [{ role, parts, ...(origin && { origin }), ...(kept && { providerMetadata: kept }) }];
  });
}

/** Whether the messages hold anything that `toPlain` would change. */
export function holdsMoreThanText(messages: readonly ModelMessage[]): boolean {
  return messages.some(
    ({ parts, providerMetadata, role }) =>
      providerMetadata !== undefined ||
      parts.some((part) =>
        part.type === 'data' || part.type === 'uri' || part.type === 'upload'
          ? role === 'assistant'
          : part.type !== 'text' || part.providerMetadata !== undefined,
      ),
  );
}

function plainPart(part: ModelPart, keepsCalls: boolean): readonly ModelPart[] {
  switch (part.type) {
    case 'reasoning':
    case 'provider':
      return [];
    case 'text':
      return [{ type: 'text', text: part.text }];
    case 'code':
      return [fenced(part.code, part.language)];
    case 'code-result':
      return [fenced(part.output)];
    case 'tool-call': {
      const { providerMetadata: _, ...call } = part;
      return [keepsCalls ? call : asText(`tool call: ${plainName(call.name)}`, call.input)];
    }
    case 'tool-result': {
      const { providerMetadata: _, ...result } = part;
      return [keepsCalls ? result : asText(`tool result: ${plainName(result.name)}`, result.output)];
    }
    default:
      return [part];
  }
}

const asText = (what: string, value: unknown): ModelPart => ({
  type: 'text',
  text: `[${what} ${JSON.stringify(value)}]\n`,
});

/** The fence is longer than any in the text, so that the text cannot end it. */
function fenced(text: string, language = ''): ModelPart {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  return { type: 'text', text: `\n${fence}${language.replace(/[^\w+#.-]/g, '')}\n${text}\n${fence}\n` };
}
