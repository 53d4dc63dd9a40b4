import type { Exchange } from '../exchange/exchange.js';
import { eventStreamType, jsonType } from '../exchange/respond.js';
import type { WirePart, WireResponse } from '../wire/messages.js';

/** How the responses of an answer make up a body. */
type Format = 'events' | 'array' | 'object' | 'lines';

export const contentTypes: Readonly<Record<Format, string>> = {
  events: eventStreamType,
  array: jsonType,
  object: jsonType,
  lines: 'application/x-ndjson',
};

/** The format that the call asks for, unless a fault gives it another one. */
export function formatOf({ call, route, injection }: Exchange): Format {
  if (!call.stream) return 'object';
  switch (injection?.fault) {
    case 'json-array':
      return 'array';
    case 'json-object':
      return 'object';
    case 'ndjson':
      return 'lines';
    default:
      return route.query.get('alt') === 'sse' ? 'events' : 'array';
  }
}

/** The body in the pieces that it is streamed in. */
export function frameResponses(responses: readonly WireResponse[], format: Format): readonly string[] {
  switch (format) {
    case 'events':
      return responses.map((response) => `data: ${JSON.stringify(response)}\r\n\r\n`);
    case 'array':
      return responses.map((response, index) => {
        const closes = index === responses.length - 1 ? '\n]\n' : '';
        return `${index === 0 ? '[' : ',\r\n'}${JSON.stringify(response, null, 2)}${closes}`;
      });
    case 'object':
      return [`${JSON.stringify(joinAnswer(responses), null, 2)}\n`];
    case 'lines':
      return responses.map((response) => `${JSON.stringify(response)}\n`);
  }
}

/** The same answer in one response, as `generateContent` returns it. */
function joinAnswer(responses: readonly WireResponse[]): WireResponse {
  const last: WireResponse = Object.assign({}, ...responses);
  const candidate = last.candidates?.[0];
  if (!candidate) return last;
  const parts: WirePart[] = [];
  for (const part of responses.flatMap((response) => response.candidates?.[0]?.content?.parts ?? [])) {
    const previous = parts.at(-1);
    if (previous && isPlainText(previous) && part.text !== undefined && previous.thought === part.thought)
      parts[parts.length - 1] = { ...previous, ...part, text: `${previous.text}${part.text}` };
    else parts.push(part);
  }
  const content = parts.length > 0 ? { content: { parts, role: 'model' } } : {};
  return { ...last, candidates: [{ ...content, ...candidate, ...content }] };
}

const isPlainText = ({ text, thoughtSignature }: WirePart) =>
  text !== undefined && thoughtSignature === undefined;
