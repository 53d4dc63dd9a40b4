/** A chat service with a page: `npm start`. Settings come from the environment and `.env`. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { config as readDotenv } from 'dotenv';
import express from 'express';
import type { KeySpec, MemoryStore } from 'multimodal-chat';
import { ConfigurationError, MultimodalChat, withOutbox } from 'multimodal-chat';
import { chatRouter } from 'multimodal-chat/express';
import type { Settings } from './config.js';
import { readSettings } from './config.js';
import type { Listening } from './listen.js';
import { listen } from './listen.js';
import type { Log } from './log.js';
import { createLog } from './log.js';
import { logChatEvents, logRequests, makeFailureLog } from './log-events.js';
import { renderPage } from './page.js';
import { describeProxies, proxySecrets, useProxies } from './proxies.js';
import { openSharedKeyPool } from './shared-keys.js';
import { exampleTools } from './tools.js';

/** How long running answers may go on after a stop signal. */
const drainMs = 10_000;

/** A terminal and npm both deliver the same Ctrl-C. */
const sameSignalMs = 300;

const emulatorNotice =
  'DEMO: a built-in emulator answers, not Gemini. Set GEMINI_API_KEY (environment or .env) and start again.';

interface Closable {
  close(): Promise<void>;
}

/** Keys and base URL of the model. Without a key, starts an emulator in this process. */
async function findModel(
  settings: Settings,
): Promise<{ keys: readonly KeySpec[]; baseUrl: string | undefined; emulator?: Closable }> {
  if (settings.keys.length > 0) return { keys: settings.keys, baseUrl: settings.baseUrl };
  const { startGeminiEmulator } = await import('multimodal-chat/testing');
  const keys = ['0001', '0002', '0003'].map((number) => ({ key: `emulated-key-${number}`, project: 'demo' }));
  // As slow as a real model, so that streaming is visible.
  const pace = { firstChunkDelayMs: 120, chunkDelayMs: 40, chunks: 12 };
  const emulator = await startGeminiEmulator({ ...pace, journal: false });
  return { keys, baseUrl: emulator.url, emulator };
}

/** The configured store; `undefined` for the chat's default, the embedded one. */
async function openMemory(settings: Settings, log: Log): Promise<MemoryStore | undefined> {
  if (settings.memory.kind === 'embedded') return undefined;
  const { ChromaMemoryStore } = await import('multimodal-chat/chroma');
  const { outbox, url } = settings.memory;
  const server = new ChromaMemoryStore({ url });
  const memory = outbox === undefined ? server : withOutbox(server, { path: outbox });
  memory
    .stats()
    .catch((error: Error) => log.error(`Questions fail until memory can be used: ${error.message}`));
  return memory;
}

function demandWritable(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK);
  } catch (error) {
    throw new ConfigurationError(
      `The data directory ${directory} cannot be written (${(error as NodeJS.ErrnoException).code}). Set MEMORY_PATH to a directory that this user may write to.`,
      { cause: error },
    );
  }
}

/** A running server, and the parts to be closed after it, in that order. */
interface Served {
  readonly listening: Listening;
  readonly parts: readonly Closable[];
}

async function serve(settings: Settings, log: Log): Promise<Served> {
  demandWritable(settings.dataDir);
  const parts: Closable[] = [];
  try {
    return { listening: await open(settings, log, parts), parts };
  } catch (error) {
    // An open part would keep the process alive.
    await closeAll(parts);
    throw error;
  }
}

async function closeAll(parts: readonly Closable[]): Promise<void> {
  for (const part of parts) await part.close();
}

/** Opens the parts, the last one first in `parts`, and listens. */
async function open(settings: Settings, log: Log, parts: Closable[]): Promise<Listening> {
  const { keys, baseUrl, emulator } = await findModel(settings);
  if (emulator) parts.unshift(emulator);
  if (settings.proxies) {
    await useProxies(settings.proxies, emulator && baseUrl ? new URL(baseUrl).host : undefined);
    log.info(`outgoing requests go through the proxy at ${describeProxies(settings.proxies)}`);
  }
  const memory = await openMemory(settings, log);
  if (memory) parts.unshift(memory);
  const { redisUrl, model, dataDir, summary } = settings;
  const tools = settings.tools ? exampleTools(dataDir) : [];
  const shared = redisUrl === undefined ? undefined : openSharedKeyPool(redisUrl, keys, log);
  if (shared) parts.unshift(shared);
  const keyOptions = shared ? { keyPool: shared.keyPool } : { keys };
  const context = { summary };
  const chat = new MultimodalChat({ ...keyOptions, baseUrl, model, memory, context, tools, dataDir });
  parts.unshift(chat);
  const logFailure = makeFailureLog(log);
  logChatEvents(chat, log, logFailure);

  const notice = emulator ? emulatorNotice : undefined;
  const { maxUploadBytes, apiToken, allowedHosts, allowedOrigins, clientRpm, trustProxy } = settings;
  const app = express();
  app.disable('x-powered-by');
  app.set('trust proxy', trustProxy);
  app.use(logRequests(log));
  app.use(
    chatRouter(chat, {
      page: renderPage({ notice, maxUploadBytes }),
      notice,
      apiToken,
      allowedHosts,
      allowedOrigins,
      clientRpm,
      maxUploadBytes,
      fallthrough: false,
      onError: (error) => logFailure(error),
    }),
  );
  const listening = await listen(app, settings.host, settings.port);
  announce(settings, listening.port, notice, log);
  return listening;
}

function announce(settings: Settings, port: number, notice: string | undefined, log: Log): void {
  const { host, keys, memory, dataDir, logFile, warnings } = settings;
  const shownHost = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  for (const warning of warnings) log.warn(warning);
  if (notice) log.warn(notice);
  else log.info(`${keys.length} Gemini API ${keys.length === 1 ? 'key' : 'keys'} found`);
  log.info({ memory: memory.kind, dataDir, logFile }, `listening on http://${shownHost}:${port}`);
}

/** The first signal lets running answers finish, a second one exits at once. */
function stopOnSignal(listening: Listening, parts: readonly Closable[], log: Log): void {
  let stoppingSince: number | undefined;
  const stop = async (signal: string) => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince < sameSignalMs) return;
      process.exit(1);
    }
    stoppingSince = performance.now();
    log.info(`${signal}: no new requests; running answers have ${drainMs / 1000} s to finish`);
    const timer = setTimeout(() => {
      log.warn('some answers were cut off');
      listening.cutOff();
    }, drainMs);
    await listening.stop();
    clearTimeout(timer);
    await closeAll(parts);
    log.info('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      stop(signal).catch((error: unknown) => {
        log.fatal({ err: error }, 'the server could not stop in order');
        process.exit(1);
      });
    });
  }
}

/** Also writes the crash to the log file; Node still prints it and exits. */
function logCrash(log: Log): void {
  process.on('uncaughtExceptionMonitor', (error) => log.fatal({ err: error }, 'the server crashed'));
}

async function main(): Promise<void> {
  readDotenv({ quiet: true });
  let log: Log | undefined;
  try {
    const settings = readSettings(process.env);
    const keyValues = settings.keys.map((key) => (typeof key === 'string' ? key : key.key));
    const others = [settings.apiToken, settings.redisUrl].filter((secret) => secret !== undefined);
    const secrets = [...keyValues, ...others, ...(settings.proxies ? proxySecrets(settings.proxies) : [])];
    log = createLog({ level: settings.logLevel, file: settings.logFile, secrets });
    logCrash(log);
    const { listening, parts } = await serve(settings, log);
    stopOnSignal(listening, parts, log);
  } catch (error) {
    if (!ConfigurationError.isInstance(error)) throw error;
    // The sentence says what to change; a stack would not help.
    if (log) log.fatal(error.message);
    else process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

await main();
