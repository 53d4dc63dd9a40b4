import { linkedController, raceAbort } from '../../core/abort.js';
import { estimateTextTokens } from '../../core/estimate-tokens.js';
import type { MediaSource, PreparedMedia } from '../../core/media.js';
import type { JsonValue, ToolCallPart, ToolResultPart } from '../../core/message.js';
import type { Tool, ToolContext } from '../../core/tool.js';
import type { Call } from '../call-scope.js';
import type { TurnDeps } from '../turn-deps.js';
import { describeTurnMedia } from '../turn-media.js';

/** The model is told no more of an error. */
const maxErrorChars = 2_000;

/** What became of a call, with the media that belong to the result. */
export interface ToolOutcome {
  readonly result: ToolResultPart;
  readonly media: readonly PreparedMedia[];
}

export interface ToolRunDeps extends Pick<TurnDeps, 'settings'> {
  /** Prepares media of a result, within the budget of the turn. */
  readonly prepare: (
    sources: readonly MediaSource[],
    signal: AbortSignal,
  ) => Promise<readonly PreparedMedia[]>;
}

/** A result that tells the model why there is none. */
export function failedResult({ callId, name }: ToolCallPart, message: string): ToolResultPart {
  return {
    type: 'tool-result',
    callId,
    name,
    output: { error: message.slice(0, maxErrorChars) },
    isError: true,
  };
}

export const contextOf = (
  { conversation, turnId }: Call,
  { callId }: ToolCallPart,
  signal: AbortSignal,
): ToolContext => ({
  callId,
  conversation,
  turnId,
  signal,
});

/**
 * Runs one tool, with input that was checked. An error of it becomes the result.
 *
 * @throws `signal.reason` if the call is aborted.
 */
export async function runTool(
  deps: ToolRunDeps,
  call: Call,
  { input, part, tool }: { readonly part: ToolCallPart; readonly tool: Tool; readonly input: unknown },
): Promise<ToolOutcome> {
  const { clock, timeouts } = deps.settings;
  const timeoutMs = tool.timeoutMs ?? timeouts.toolMs;
  const { controller, signal, unlink } = linkedController(call.signal);
  const timer = clock.setTimeout(() => {
    controller.abort(new Error(`The tool took longer than ${Math.round(timeoutMs / 100) / 10} s.`));
  }, timeoutMs);
  const span = call.spans.start({ kind: 'tool', name: part.name, toolCallId: part.callId });
  try {
    const returned = await raceAbort(
      (async () => tool.execute?.(input, contextOf(call, part, signal)))(),
      signal,
    );
    const { media: sources, output } = read(returned);
    const media = await deps.prepare(sources, signal);
    span.end('ok');
    return { result: toResult(deps, part, output, media), media };
  } catch (error) {
    span.end(call.signal.aborted ? 'cancelled' : 'failed', { error });
    call.signal.throwIfAborted();
    return { result: failedResult(part, error instanceof Error ? error.message : String(error)), media: [] };
  } finally {
    clock.clearTimeout(timer);
    unlink();
  }
}

/** The result of a call that gave this output, no longer than it may be. */
export function toResult(
  { settings }: Pick<ToolRunDeps, 'settings'>,
  { callId, name }: ToolCallPart,
  given: JsonValue,
  media: readonly PreparedMedia[],
): ToolResultPart {
  const output = cutTo(given, settings.context.toolResultTokens);
  const kept = media.length > 0 && { media: media.map(describeTurnMedia) };
  return { type: 'tool-result', callId, name, output, ...kept };
}

function cutTo(output: JsonValue, maxTokens: number): JsonValue {
  const text = typeof output === 'string' ? output : JSON.stringify(output);
  // The longest that a token is estimated at; nearly every result is done with one look.
  if (text.length <= maxTokens) return output;
  const tokens = estimateTextTokens(text);
  if (tokens <= maxTokens) return output;
  // A cut may split a surrogate pair.
  const shown = text.slice(0, Math.floor((text.length * maxTokens) / tokens)).replace(/[\ud800-\udbff]$/, '');
  return `${shown}\n[cut off here: the result has ${text.length} characters. Ask for less of it.]`;
}

/** @throws Error if it cannot be written as JSON. */
function read(returned: unknown): { readonly output: JsonValue; readonly media: readonly MediaSource[] } {
  const hasMedia =
    typeof returned === 'object' && returned !== null && 'media' in returned && Array.isArray(returned.media);
  const { media, ...rest } = (hasMedia ? returned : { media: [] }) as {
    readonly media: readonly MediaSource[];
  };
  // What has no form as JSON, such as a function, is left out by it.
  const text = JSON.stringify(hasMedia ? rest : returned) as string | undefined;
  return { output: text === undefined ? null : (JSON.parse(text) as JsonValue), media };
}
