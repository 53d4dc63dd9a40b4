/** A chat service with a page: `npm start`. Settings come from the environment and `.env`. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { config as readDotenv } from 'dotenv';
import express from 'express';
import type { KeySpec, MemoryStore } from 'multimodal-chat';
import { ConfigurationError, MultimodalChat } from 'multimodal-chat';
import { chatRouter } from 'multimodal-chat/express';
import type { Settings } from './config.js';
import { readSettings } from './config.js';
import type { Listening } from './listen.js';
import { listen } from './listen.js';
import type { Log } from './log.js';
import { createLog } from './log.js';
import { logChatEvents, logRequests, makeFailureLog } from './log-events.js';
import { renderPage } from './page.js';
import { openSharedKeyPool } from './shared-keys.js';

/** How long running answers may go on after the server was told to stop. */
const drainMs = 10_000;

/** npm passes a Ctrl-C on to a process that the terminal has told already. */
const sameSignalMs = 300;

const emulatorNotice =
  'DEMO: a built-in emulator answers, not Gemini. Set GEMINI_API_KEY (environment or .env) and start again.';

interface Closable {
  close(): Promise<void>;
}

/** Where the model is, and with which keys to call it; without a key, an emulator in this process. */
async function findModel(
  settings: Settings,
): Promise<{ keys: readonly KeySpec[]; baseUrl: string | undefined; emulator?: Closable }> {
  if (settings.keys.length > 0) return { keys: settings.keys, baseUrl: settings.baseUrl };
  const { startGeminiEmulator } = await import('multimodal-chat/testing');
  const keys = ['0001', '0002', '0003'].map((number) => ({ key: `emulated-key-${number}`, project: 'demo' }));
  // Pieces come as slowly as from a real model, so that streaming can be seen.
  const pace = { firstChunkDelayMs: 120, chunkDelayMs: 40, chunks: 12 };
  const emulator = await startGeminiEmulator({ ...pace, journal: false });
  return { keys, baseUrl: emulator.url, emulator };
}

/** The store that was asked for; `undefined` leaves it to the chat, whose own is the embedded one. */
async function openMemory(settings: Settings, log: Log): Promise<MemoryStore | undefined> {
  if (settings.memory.kind === 'embedded') return undefined;
  const { ChromaMemoryStore } = await import('multimodal-chat/chroma');
  const { outbox, url } = settings.memory;
  const memory = new ChromaMemoryStore({ url, outbox });
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

async function serve(
  settings: Settings,
  log: Log,
): Promise<{ listening: Listening; parts: readonly Closable[] }> {
  demandWritable(settings.dataDir);
  const { keys, baseUrl, emulator } = await findModel(settings);
  const memory = await openMemory(settings, log);
  const { redisUrl, model, dataDir, summary } = settings;
  const shared = redisUrl === undefined ? undefined : openSharedKeyPool(redisUrl, keys, log);
  const keyPool = shared?.keyPool;
  const context = { summary };
  const chat = new MultimodalChat({ keys, keyPool, baseUrl, model, memory, context, dataDir });
  const logFailure = makeFailureLog(log);
  logChatEvents(chat, log, logFailure);

  const notice = emulator ? emulatorNotice : undefined;
  const { maxUploadBytes, apiToken, allowedOrigins, clientRpm } = settings;
  const app = express();
  app.disable('x-powered-by');
  // Behind a proxy on this machine the client is who the proxy says it is.
  app.set('trust proxy', 'loopback');
  app.use(logRequests(log));
  app.use(
    chatRouter(chat, {
      page: renderPage({ notice, maxUploadBytes }),
      notice,
      apiToken,
      allowedOrigins,
      clientRpm,
      maxUploadBytes,
      fallthrough: false,
      onError: (error) => logFailure(error),
    }),
  );

  const parts = [chat, memory, shared, emulator].filter((part) => part !== undefined);
  try {
    const listening = await listen(app, settings.host, settings.port);
    announce(settings, listening.port, notice, log);
    return { listening, parts };
  } catch (error) {
    for (const part of parts) await part.close();
    throw error;
  }
}

function announce(settings: Settings, port: number, notice: string | undefined, log: Log): void {
  const { host, keys, memory, dataDir, logFile, warnings } = settings;
  const shownHost = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  for (const warning of warnings) log.warn(warning);
  if (notice) log.warn(notice);
  else log.info(`${keys.length} Gemini API ${keys.length === 1 ? 'key' : 'keys'} found`);
  log.info({ memory: memory.kind, dataDir, logFile }, `listening on http://${shownHost}:${port}`);
}

/** The first signal lets running answers finish, a second one does not wait. */
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
    for (const part of parts) await part.close();
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

/** Node still prints it and exits; this also puts it into the log file. */
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
    const secrets = [...keyValues, ...others];
    log = createLog({ level: settings.logLevel, file: settings.logFile, secrets });
    logCrash(log);
    const { listening, parts } = await serve(settings, log);
    stopOnSignal(listening, parts, log);
  } catch (error) {
    if (!ConfigurationError.isInstance(error)) throw error;
    // One sentence is all that is needed: what to change is in it.
    if (log) log.fatal(error.message);
    else process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

await main();
