import type {
  ModelMessage,
  ModelPart,
  ModelRequest,
  ToolCallPart,
  ToolChoice,
  ToolDeclaration,
  ToolResultPart,
} from 'multimodal-chat';

/** The request in OpenAI's form: https://platform.openai.com/docs/api-reference/chat/create */
export function toBody(request: ModelRequest) {
  const { generation, messages, model, systemInstruction, toolChoice, tools } = request;
  const { maxOutputTokens, responseJsonSchema, stopSequences, temperature, topP } = generation;
  const schema = { type: 'json_schema', json_schema: { name: 'answer', schema: responseJsonSchema } };
  // JSON.stringify leaves out what is undefined.
  return {
    model,
    messages: [
      ...(systemInstruction === undefined ? [] : [{ role: 'system', content: systemInstruction }]),
      ...messages.flatMap(toWireMessages),
    ],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: maxOutputTokens,
    response_format: responseJsonSchema === undefined ? undefined : schema,
    tools: tools?.map(toTool),
    tool_choice: tools && toolChoice && toChoice(toolChoice),
    stop: stopSequences,
    temperature,
    top_p: topP,
  };
}

const toTool = ({ description, inputSchema: parameters, name }: ToolDeclaration) => ({
  type: 'function',
  function: { name, description, parameters },
});

const toChoice = (choice: ToolChoice) =>
  typeof choice === 'string' ? choice : { type: 'function', function: choice };

/** Empty for a message that has nothing this provider takes. */
function toWireMessages({ parts, role }: ModelMessage): readonly object[] {
  if (role === 'tool') {
    return parts.flatMap((part) =>
      part.type === 'tool-result' ? [{ role, tool_call_id: part.callId, content: outputOf(part) }] : [],
    );
  }
  if (role === 'user') {
    const content = parts.flatMap(toContent);
    return content.length === 0 ? [] : [{ role, content }];
  }
  const text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  const calls = parts.flatMap((part) => (part.type === 'tool-call' ? [toCall(part)] : []));
  if (text === '' && calls.length === 0) return [];
  return [{ role, content: text === '' ? null : text, ...(calls.length > 0 && { tool_calls: calls }) }];
}

const toCall = ({ callId: id, input, name }: ToolCallPart) => ({
  id,
  type: 'function',
  function: { name, arguments: JSON.stringify(input) },
});

const outputOf = ({ isError, output }: ToolResultPart) =>
  JSON.stringify(isError ? { error: output } : output);

function toContent(part: ModelPart): readonly object[] {
  if (part.type === 'text') return [{ type: 'text', text: part.text }];
  if (part.type !== 'data') return [];
  const bytes = Buffer.from(part.data);
  if (!part.mimeType.startsWith('image/')) return [{ type: 'text', text: bytes.toString('utf8') }];
  return [
    { type: 'image_url', image_url: { url: `data:${part.mimeType};base64,${bytes.toString('base64')}` } },
  ];
}
