/** The command `multimodal-chat`. A file of its own in `dist/`. */
import { parseArgs } from 'node:util';
import { startGeminiEmulator } from 'multimodal-chat/testing';

const usage = `Usage: multimodal-chat emulator [--port 9090] [--host 127.0.0.1]

Starts a local server that speaks Gemini's protocol and takes any key, to try an app without one:
  GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:9090 GEMINI_API_KEY=any node app.js`;

/** Exit code for a command line that is not understood, as of Unix tools. */
const misused = 2;

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      port: { type: 'string', default: '9090' },
      host: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  if (positionals.join() !== 'emulator')
    throw new TypeError(`Unknown command: ${positionals.join(' ') || 'none'}.`);
  const emulator = await startGeminiEmulator({
    port: Number(values.port),
    host: values.host,
    journal: false,
  });
  console.log(`The Gemini emulator listens on ${emulator.url}, for apps with these variables:
  GOOGLE_GEMINI_BASE_URL=${emulator.url}
  GEMINI_API_KEY=any
Stop it with Ctrl+C.`);
  const stop = () => void emulator.close();
  process.once('SIGINT', stop).once('SIGTERM', stop);
}

main().catch((error: unknown) => {
  const isMisuse = error instanceof TypeError;
  console.error(isMisuse ? `${error.message}\n\n${usage}` : String(error));
  process.exitCode = isMisuse ? misused : 1;
});
