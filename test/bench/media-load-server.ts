import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import express from 'express';
import { MultimodalChat } from 'multimodal-chat';
import { chatRouter } from 'multimodal-chat/express';

/** `POST /infer` as an app would mount it, and what it costs the process. */
export interface LoadUsage {
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  /** Processor time of the main thread between two looks 5 ms apart: the delay without other processes. */
  readonly stretchP99Ms: number;
  readonly stretchMaxMs: number;
  readonly peakRssMb: number;
  readonly cpuSeconds: number;
}

const resolutionMs = 5;
const delay = monitorEventLoopDelay({ resolution: resolutionMs });
delay.enable();
const stretches = createHistogram();
/** Nanoseconds that the main thread has run, from Linux. */
const mainThreadNs = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ', 1)[0]);
let peakRss = 0;
let ranNs = mainThreadNs();
setInterval(() => {
  const nowNs = mainThreadNs();
  stretches.record(Math.max(1, nowNs - ranNs));
  ranNs = nowNs;
  peakRss = Math.max(peakRss, process.memoryUsage.rss());
}, resolutionMs);
let cpuBefore = process.cpuUsage();

/** The histogram holds the whole interval between two ticks. */
const milliseconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolutionMs);

const chat = new MultimodalChat({ memory: false });
const app = express();
app.post('/usage/reset', (_request, response) => {
  delay.reset();
  stretches.reset();
  peakRss = 0;
  cpuBefore = process.cpuUsage();
  response.end();
});
app.get('/usage', (_request, response) => {
  const { user, system } = process.cpuUsage(cpuBefore);
  response.json({
    delayP50Ms: milliseconds(delay.percentile(50)),
    delayP99Ms: milliseconds(delay.percentile(99)),
    delayMaxMs: milliseconds(delay.max),
    stretchP99Ms: stretches.percentile(99) / 1e6,
    stretchMaxMs: stretches.max / 1e6,
    peakRssMb: peakRss / 2 ** 20,
    cpuSeconds: (user + system) / 1e6,
  } satisfies LoadUsage);
});
app.use(chatRouter(chat));
const server = app.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
});
process.on('disconnect', () => process.exit(0));
