import type { AddressInfo } from 'node:net';
import express from 'express';
import { MultimodalChat } from 'multimodal-chat';
import { chatRouter } from 'multimodal-chat/express';

/** `POST /infer` as an app would mount it, in a process of its own. */
const chat = new MultimodalChat({ memory: process.env.BENCH_MEMORY === 'on' ? ':memory:' : false });
const server = express()
  .use(chatRouter(chat))
  .listen(0, '127.0.0.1', () => {
    process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  });
// The contestants take turns, so that a connection may be idle for longer than the default 5 s.
server.keepAliveTimeout = 120_000;
process.on('disconnect', () => process.exit(0));
