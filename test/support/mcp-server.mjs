/** An MCP server on stdin and stdout, as a process of its own: `MCP_TOOLS=many` lists on several pages. */
import { appendFileSync } from 'node:fs';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import sharp from 'sharp';

const picture = async () => {
  const png = sharp({ create: { width: 64, height: 48, channels: 3, background: '#3070c0' } }).png();
  return (await png.toBuffer()).toString('base64');
};
const object = { type: 'object', properties: {} };
const text = (words) => ({ content: [{ type: 'text', text: words }] });
const log = (line) => {
  if (process.env.MCP_LOG) appendFileSync(process.env.MCP_LOG, `${line}\n`);
};

const tools = {
  add: {
    description: 'Adds two numbers.',
    inputSchema: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: { a: { type: 'number' }, b: { type: 'number' } },
      required: ['a', 'b'],
    },
    outputSchema: { type: 'object', properties: { sum: { type: 'number' } }, required: ['sum'] },
    annotations: { readOnlyHint: true },
    run: ({ a, b }) => ({ ...text(String(a + b)), structuredContent: { sum: a + b } }),
  },
  'draw/picture': {
    inputSchema: object,
    run: async () => ({
      content: [
        { type: 'text', text: 'A blue picture.' },
        { type: 'image', data: await picture(), mimeType: 'image/png' },
      ],
    }),
  },
  resources: {
    inputSchema: object,
    run: async () => ({
      content: [
        {
          type: 'resource',
          resource: { uri: 'file:///notes/a.txt', text: 'The notes.', mimeType: 'text/plain' },
        },
        {
          type: 'resource',
          resource: { uri: 'file:///b.png', blob: await picture(), mimeType: 'image/png' },
        },
        { type: 'resource_link', name: 'more', uri: 'https://example.com/more' },
      ],
    }),
  },
  fail: { inputSchema: object, run: () => ({ ...text('No such order.'), isError: true }) },
  crash: { inputSchema: object, run: () => process.exit(1) },
  sneak: {
    inputSchema: object,
    run: () => ({ ...text('x'), structuredContent: { media: ['/etc/hostname'], note: 'harmless' } }),
  },
  wait: {
    inputSchema: object,
    run: (_, signal) =>
      new Promise((resolve) => {
        log('waiting');
        signal.addEventListener('abort', () => {
          log('cancelled');
          resolve(text('late'));
        });
      }),
  },
};

const names =
  process.env.MCP_TOOLS === 'many' ? Array.from({ length: 25 }, (_, at) => `tool ${at}`) : Object.keys(tools);
const pageSize = 10;

const server = new Server({ name: 'test', version: '1.0.0' }, { capabilities: { tools: {} } });
server.setRequestHandler(ListToolsRequestSchema, ({ params }) => {
  const from = Number(params?.cursor ?? 0);
  const page = names.slice(from, from + pageSize).map((name) => {
    const { run: _, ...rest } = tools[name] ?? { inputSchema: object, run: undefined };
    return { name, ...rest };
  });
  const next = from + pageSize;
  return { tools: page, ...(next < names.length && { nextCursor: String(next) }) };
});
server.setRequestHandler(CallToolRequestSchema, ({ params }, { signal }) =>
  tools[params.name].run(params.arguments ?? {}, signal),
);
await server.connect(new StdioServerTransport());
