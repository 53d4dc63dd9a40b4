import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ChromaStartError } from './explain-start-failure.js';

/** The command that starts the server of the installed `chromadb`, without its parameters. */
export function shippedCommand(): readonly string[] {
  return [process.execPath, findCli()];
}

/** Its package.json is not exported, so it is searched for above the file that is. */
function findCli(): string {
  const entry = resolveChromadb();
  for (let folder = dirname(entry); folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (!existsSync(file)) continue;
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as { name?: string; bin?: { chroma?: string } };
    if (manifest.name !== 'chromadb') continue;
    if (manifest.bin?.chroma !== undefined) return join(folder, manifest.bin.chroma);
    break;
  }
  throw new ChromaStartError(
    'not-installed',
    'The installed package "chromadb" ships no server. Run "npm install chromadb@3".',
  );
}

function resolveChromadb(): string {
  // Beside this package, or in the app that is running.
  const places = [import.meta.url, join(process.cwd(), 'index.js')];
  let cause: unknown;
  for (const place of places) {
    try {
      return createRequire(place).resolve('chromadb');
    } catch (error) {
      cause = error;
    }
  }
  throw new ChromaStartError(
    'not-installed',
    'The package "chromadb" is not installed. Run "npm install chromadb".',
    { cause },
  );
}

/** This system for error messages, such as "linux x64 with glibc 2.36". */
export function describeSystem(): string {
  const { platform, arch } = process;
  if (platform !== 'linux') return `${platform} ${arch}`;
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const libc = header.glibcVersionRuntime;
  return `linux ${arch} ${libc === undefined ? 'without glibc' : `with glibc ${libc}`}`;
}
