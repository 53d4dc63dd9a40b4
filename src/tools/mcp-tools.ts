import type { AbortOptions } from '../core/abort.js';
import { ConfigurationError } from '../core/errors.js';
import type { NamedMedia } from '../core/media.js';
import type { JsonValue } from '../core/message.js';
import type { JsonSchema, Tool } from '../core/tool.js';
import { tool } from './tool.js';

/** A tool as an MCP server lists it. */
export interface McpTool {
  readonly name: string;
  readonly description?: string | undefined;
  readonly inputSchema: object;
  /** What the server says of it, such as `readOnlyHint`. It need not be true. */
  readonly annotations?: Readonly<Record<string, unknown>> | undefined;
}

/** What is used of an MCP client: `Client` of `@modelcontextprotocol/client`, or of `@modelcontextprotocol/sdk`. */
export interface McpClient {
  listTools(
    params?: { readonly cursor?: string },
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ readonly tools: readonly McpTool[]; readonly nextCursor?: string | undefined }>;
  // The rest differs between the two.
  callTool(params: { name: string; arguments?: Record<string, unknown> }, ...rest: never[]): Promise<unknown>;
}

/** Options of `mcpTools`. */
export interface McpToolsOptions extends AbortOptions {
  /** Put before each name, such as `github_`, so that servers do not get in each other's way. Default: nothing. */
  readonly prefix?: string | undefined;
  /** Which tools to take. Default: all. */
  readonly include?: ((tool: McpTool) => boolean) | undefined;
  /** Whether a person has to allow a call first: see `chat.resume()`. Default: never. */
  readonly needsApproval?: boolean | ((tool: McpTool, input: JsonValue) => boolean) | undefined;
  /** Milliseconds after which a call has failed. Default: `timeouts.toolMs` of the chat. */
  readonly timeoutMs?: number | undefined;
}

/** A server that lists without end is broken. */
const maxPages = 100;
const maxNameLength = 64;
/** The time of a call is limited by the chat: by its own limit, a client would end a long one. */
const noTimeout = 2 ** 31 - 1;

/**
 * The tools of an MCP server, for `tools` of a chat or of a call. The client must be connected, and stay so; closing
 * it is yours. Pictures, sound and files in a result are prepared like attachments; links in it are named, not read.
 *
 * @throws ConfigurationError if two tools get the same name. What the client throws.
 * @example
 * ```ts
 * const client = new Client({ name: 'my-app', version: '1.0.0' });
 * await client.connect(new StdioClientTransport({ command: 'my-mcp-server' }));
 * const chat = new MultimodalChat({ tools: await mcpTools(client, { prefix: 'files_' }) });
 * ```
 */
export async function mcpTools(client: McpClient, options: McpToolsOptions = {}): Promise<readonly Tool[]> {
  const { include = () => true, prefix = '', signal } = options;
  const listed = (await listAll(client, signal)).filter(include);
  const byName = new Map<string, McpTool>();
  for (const each of listed) {
    const name = nameFor(prefix + each.name);
    const other = byName.get(name);
    if (other !== undefined) {
      throw new ConfigurationError(
        `The MCP tools "${other.name}" and "${each.name}" would both be called ${name}. Leave one out with \`include\`.`,
      );
    }
    byName.set(name, each);
  }
  return [...byName].map(([name, each]) => toTool(client, name, each, options));
}

async function listAll(client: McpClient, signal: AbortSignal | undefined): Promise<readonly McpTool[]> {
  const tools: McpTool[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < maxPages; page += 1) {
    const listed = await client.listTools(cursor === undefined ? {} : { cursor }, signal ? { signal } : {});
    tools.push(...listed.tools);
    if (listed.nextCursor === undefined || listed.nextCursor === cursor) return tools;
    cursor = listed.nextCursor;
  }
  throw new ConfigurationError(`The MCP server lists its tools on more than ${maxPages} pages.`);
}

/** Servers may use characters that models do not take. */
const nameFor = (name: string) =>
  name
    .replace(/[^\w.-]/g, '_')
    .replace(/^(?![A-Za-z_])/, '_')
    .slice(0, maxNameLength);

function toTool(client: McpClient, name: string, listed: McpTool, options: McpToolsOptions): Tool {
  const { needsApproval, timeoutMs } = options;
  return tool({
    name,
    description: listed.description ?? listed.name,
    input: listed.inputSchema as JsonSchema,
    needsApproval:
      typeof needsApproval === 'function' ? (input) => needsApproval(listed, input) : needsApproval,
    timeoutMs,
    execute: async (input, { signal }) => {
      const params = { name: listed.name, arguments: input as Record<string, unknown> };
      return readResult(await call(client, params, { signal, timeout: noTimeout }));
    },
  });
}

type CallWithSchema = (params: object, schema: undefined, options: object) => Promise<unknown>;
type Call = (params: object, options: object) => Promise<unknown>;

/** Version 1 of the client takes a schema before the options, as a parameter with a default. */
function call(client: McpClient, params: object, options: object): Promise<unknown> {
  const { callTool } = client;
  return callTool.length === 1
    ? (callTool as CallWithSchema).call(client, params, undefined, options)
    : (callTool as Call).call(client, params, options);
}

/** A block of content as far as it is read: https://modelcontextprotocol.io/specification/2025-11-25/server/tools */
interface Content {
  readonly type?: unknown;
  readonly text?: unknown;
  readonly data?: unknown;
  readonly mimeType?: unknown;
  readonly name?: unknown;
  readonly uri?: unknown;
  readonly blob?: unknown;
  readonly resource?: Content | undefined;
}

/** @throws Error with what the server says, if the call failed. */
function readResult(result: unknown): { readonly content: unknown; readonly media: readonly NamedMedia[] } {
  const { content, isError, structuredContent } = result as {
    readonly content?: unknown;
    readonly isError?: unknown;
    readonly structuredContent?: unknown;
  };
  const blocks: readonly Content[] = Array.isArray(content) ? content : [];
  const text = blocks.flatMap(textOf).join('\n');
  if (isError === true) throw new Error(text === '' ? 'The MCP server gave no reason.' : text);
  // In a field of its own: media that the result names elsewhere are words of the server, not files to be read.
  return { content: structuredContent ?? text, media: blocks.flatMap(mediaOf) };
}

function textOf({ name, resource, text, type, uri }: Content): readonly string[] {
  if (type === 'text') return [String(text)];
  if (type === 'resource') return resource?.text === undefined ? [] : [String(resource.text)];
  return type === 'resource_link' ? [`${String(name)}: ${String(uri)}`] : [];
}

function mediaOf({ data, mimeType, resource, type }: Content): readonly NamedMedia[] {
  if (type === 'image' || type === 'audio') return [fileOf(data, mimeType, String(type))];
  if (type !== 'resource' || resource?.blob === undefined) return [];
  const { blob, mimeType: blobType, uri } = resource;
  return [fileOf(blob, blobType, String(uri).split('/').at(-1) || 'file')];
}

const fileOf = (base64: unknown, mimeType: unknown, name: string): NamedMedia => ({
  data: Buffer.from(String(base64), 'base64'),
  name,
  ...(typeof mimeType === 'string' && { mimeType }),
});
