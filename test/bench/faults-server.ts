/** The server of `npm run bench:faults`: one Express app, and for each case a chat with its own keys and memory. */
import { rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { MultimodalChat, tool } from 'multimodal-chat';
import type { ChatRouter } from 'multimodal-chat/express';
import { chatRouter } from 'multimodal-chat/express';
import { type Limits, models, projects } from './faults/plans.js';
import { serveCalls } from './faults/worker.js';

interface Case {
  readonly chat: MultimodalChat;
  readonly router: ChatRouter;
  readonly dataDir: string;
}

export interface ServerUsage {
  readonly rssMb: number;
  readonly heapMb: number;
  /** What keeps the process busy, by kind. */
  readonly resources: Readonly<Record<string, number>>;
}

const cases = new Map<string, Case>();
const warnings: string[] = [];
// Node's own listener prints; here they are reported instead.
process.removeAllListeners('warning');
process.on('warning', (warning: NodeJS.ErrnoException) => {
  // Said on purpose where the first model does not exist, which is one of the faults.
  if (warning.code !== 'MULTIMODAL_CHAT_MODEL') warnings.push(warning.stack ?? String(warning));
});
process.on('unhandledRejection', (reason) => {
  warnings.push(`Unhandled: ${reason instanceof Error ? reason.stack : String(reason)}`);
});

const ran = new Set<string>();
const note = tool({
  name: 'note',
  description: 'Writes something down.',
  execute: (_, { callId }) => {
    if (ran.has(callId)) warnings.push(`The call ${callId} ran twice.`);
    ran.add(callId);
    return 'noted';
  },
});

const app = express();
app.use('/:id', (request, response, next) => {
  const found = cases.get(request.params.id);
  if (found) found.router(request, response, next);
  else next();
});

const megabytes = (bytes: number) => Math.round(bytes / 1024 / 1024);

const calls = {
  listen(): Promise<string> {
    return new Promise((resolve) => {
      const server = app.listen(0, '127.0.0.1', () => {
        resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      });
      server.keepAliveTimeout = 120_000;
    });
  },
  async open(options: {
    readonly id: string;
    readonly baseUrl: string;
    readonly dataDir: string;
    readonly limits: Limits;
  }): Promise<void> {
    const { id, baseUrl, dataDir, limits } = options;
    const chat = new MultimodalChat({
      keys: projects.flatMap(({ id: project, keys }) => keys.map((key) => ({ key, project }))),
      model: models[0],
      fallbackModels: models.slice(1),
      baseUrl,
      dataDir,
      tools: [note],
      timeouts: limits,
      retry: { baseDelayMs: 50, maxDelayMs: 500 },
    });
    cases.set(id, { chat, dataDir, router: chatRouter(chat) });
  },
  async close(id: string): Promise<void> {
    const found = cases.get(id);
    cases.delete(id);
    await found?.chat.close();
    if (found) await rm(found.dataDir, { recursive: true, force: true });
  },
  async usage(): Promise<ServerUsage> {
    globalThis.gc?.();
    const { rss, heapUsed } = process.memoryUsage();
    const resources: Record<string, number> = {};
    for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
    return { rssMb: megabytes(rss), heapMb: megabytes(heapUsed), resources };
  },
  async warnings(): Promise<readonly string[]> {
    return warnings;
  },
};

export type ServerCalls = typeof calls;

serveCalls(calls);
