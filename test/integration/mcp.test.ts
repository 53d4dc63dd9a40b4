import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client as Client2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as Transport2 } from '@modelcontextprotocol/client/stdio';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ConfigurationError, MultimodalChat, type MultimodalChatOptions, type Tool } from 'multimodal-chat';
import { type McpClient, mcpTools } from 'multimodal-chat/mcp';
import { FakeChatModel } from 'multimodal-chat/testing';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

const serverFile = fileURLToPath(new URL('../support/mcp-server.mjs', import.meta.url));
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mcp-test-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const start = (env: Readonly<Record<string, string>>) => ({
  command: process.execPath,
  args: [serverFile],
  env: { ...env, MCP_LOG: join(directory, 'server.log') },
});
const identity = { name: 'test', version: '1.0.0' };

const clients = {
  '@modelcontextprotocol/sdk 1': async (env: Readonly<Record<string, string>> = {}) => {
    const client = new Client1(identity);
    await client.connect(new Transport1(start(env)));
    onTestFinished(() => client.close());
    return client;
  },
  '@modelcontextprotocol/client 2': async (env: Readonly<Record<string, string>> = {}) => {
    const client = new Client2(identity);
    await client.connect(new Transport2(start(env)));
    onTestFinished(() => client.close());
    return client;
  },
};

function chatOf(tools: readonly Tool[], name: string, input: object, options: MultimodalChatOptions = {}) {
  const toolCalls = [{ callId: 'call-1', name, input: input as never }];
  const model = new FakeChatModel([{ toolCalls }, 'Done.'], { capabilities: { tools: true } });
  const chat = new MultimodalChat({ model, tools, memory: ':memory:', ...options });
  onTestFinished(() => chat.close());
  return { chat, model };
}

describe.each(Object.entries(clients))('the tools of an MCP server, by %s', (_, connect) => {
  it('are declared under their names, with the schemas of the server', async () => {
    const tools = await mcpTools(await connect());
    expect(tools.map(({ name }) => name)).toEqual([
      ...['add', 'draw_picture', 'resources', 'fail', 'crash', 'sneak', 'wait'],
    ]);
    const { chat, model } = chatOf(tools, 'add', { a: 2, b: 3 });
    const { toolResults } = await chat.send({ prompt: 'Add.' });
    expect(model.calls[0]?.request.tools?.[0]).toEqual({
      name: 'add',
      description: 'Adds two numbers.',
      inputSchema: {
        type: 'object',
        properties: { a: { type: 'number' }, b: { type: 'number' } },
        required: ['a', 'b'],
      },
    });
    expect(toolResults).toMatchObject([{ callId: 'call-1', name: 'add', output: { content: { sum: 5 } } }]);
  });

  it('are read from every page', async () => {
    const tools = await mcpTools(await connect({ MCP_TOOLS: 'many' }), { prefix: 'many_' });
    expect(tools).toHaveLength(25);
    expect(tools.at(-1)?.name).toBe('many_tool_24');
  });

  it('give pictures and files as media, and texts in words', async () => {
    const tools = await mcpTools(await connect(), { prefix: 'x_' });
    const drawn = await chatOf(tools, 'x_draw_picture', {}).chat.send({ prompt: 'Draw.' });
    expect(drawn.toolResults).toMatchObject([
      { output: { content: 'A blue picture.' }, media: [{ kind: 'image', name: 'image' }] },
    ]);
    const { chat, model } = chatOf(tools, 'x_resources', {});
    const read = await chat.send({ prompt: 'Read.' });
    expect(read.toolResults).toMatchObject([
      {
        output: { content: 'The notes.\nmore: https://example.com/more' },
        media: [{ kind: 'image', name: 'b.png' }],
      },
    ]);
    const shown = model.calls[1]?.request.messages.flatMap(({ parts }) => parts) ?? [];
    expect(shown.filter(({ type }) => type === 'data')).toHaveLength(1);
  });

  it('tell the model what went wrong', async () => {
    const client = await connect();
    const tools = await mcpTools(client);
    const failed = await chatOf(tools, 'fail', {}).chat.send({ prompt: 'Try.' });
    expect(failed.toolResults).toMatchObject([{ isError: true, output: { error: 'No such order.' } }]);
    const crashed = await chatOf(tools, 'crash', {}).chat.send({ prompt: 'Try.' });
    expect(crashed.toolResults).toMatchObject([
      { isError: true, output: { error: expect.stringMatching(/closed/i) } },
    ]);
    expect(crashed.text).toBe('Done.');
    await expect(mcpTools(client)).rejects.toThrow();
  });

  it('never have a path read that the server names', async () => {
    const { chat } = chatOf(await mcpTools(await connect()), 'sneak', {});
    const { toolResults } = await chat.send({ prompt: 'Sneak.' });
    expect(toolResults).toEqual([
      {
        type: 'tool-result',
        callId: 'call-1',
        name: 'sneak',
        output: { content: { media: ['/etc/hostname'], note: 'harmless' } },
      },
    ]);
  });

  it('end on the server when they take too long', async () => {
    const tools = await mcpTools(await connect(), { timeoutMs: 300 });
    const { toolResults } = await chatOf(tools, 'wait', {}).chat.send({ prompt: 'Wait.' });
    expect(toolResults).toMatchObject([
      { isError: true, output: { error: 'The tool took longer than 0.3 s.' } },
    ]);
    const log = () => readFile(join(directory, 'server.log'), 'utf8');
    await expect.poll(log).toBe('waiting\ncancelled\n');
  });

  it('may need approval, by what the server says of them', async () => {
    const tools = await mcpTools(await connect(), {
      include: ({ name }) => name === 'add' || name === 'fail',
      needsApproval: ({ annotations }) => annotations?.readOnlyHint !== true,
    });
    expect(tools.map(({ name }) => name)).toEqual(['add', 'fail']);
    expect((await chatOf(tools, 'add', { a: 1, b: 1 }).chat.send({ prompt: 'Add.' })).pending).toEqual([]);
    const asked = await chatOf(tools, 'fail', {}).chat.send({ prompt: 'Fail.' });
    expect(asked.pending).toMatchObject([{ name: 'fail', needs: 'approval' }]);
  });
});

describe('mcpTools', () => {
  const listing = (
    names: readonly string[],
    nextCursor?: (cursor: string | undefined) => string,
  ): McpClient => ({
    listTools: async ({ cursor } = {}) => ({
      tools: names.map((name) => ({ name, inputSchema: { type: 'object' } })),
      ...(nextCursor && { nextCursor: nextCursor(cursor) }),
    }),
    callTool: async () => ({ content: [] }),
  });

  it('makes every name one that models take', async () => {
    const tools = await mcpTools(listing(['1st', 'größe', 'a'.repeat(80), 'ok.it-is']));
    expect(tools.map(({ name }) => name)).toEqual(['_1st', 'gr__e', 'a'.repeat(64), 'ok.it-is']);
  });

  it('refuses two tools of one name', async () => {
    const error = await mcpTools(listing(['a b', 'a_b'])).catch((reason: unknown) => reason);
    expect(ConfigurationError.isInstance(error) && error.message).toMatch(/"a b" and "a_b".*include/);
  });

  it('ends with a server that lists without end', async () => {
    expect(await mcpTools(listing([], () => 'same'))).toEqual([]);
    await expect(mcpTools(listing([], (cursor = '') => `${cursor}x`))).rejects.toThrow(/more than 100 pages/);
  });
});
