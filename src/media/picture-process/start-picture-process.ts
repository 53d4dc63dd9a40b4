import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { installedFile, resolveFrom } from '../../core/installed.js';
import { hasOwnGroup } from './own-group.js';

/** Starts the process that decodes pictures from one place. Throws, or the process ends, if the file is not there. */
export type StartPictureProcess = () => ChildProcess;

/** Beside the code that starts it. Bundlers recognize this URL and copy the file. */
const besideThisFile: StartPictureProcess = () => {
  const file = new URL('./picture-process.cjs', import.meta.url);
  return startNode([fileURLToPath(file)]);
};

/** In the installed package, for a bundle without the file. */
const fromPackage: StartPictureProcess = () => startNode([installedFile('picture-process.cjs')]);

/** From source, as tests run. */
const fromSource: StartPictureProcess = () => {
  const file = fileURLToPath(import.meta.url.replace(/[^/]*$/, 'picture-process-main.ts'));
  const tsx = resolveFrom(import.meta.url, 'tsx/cjs/api');
  const load = `require(${JSON.stringify(tsx)}).register(); require(${JSON.stringify(file)});`;
  return startNode(['--eval', load]);
};

/** What Node and sharp need to start. Keys and other secrets of the environment stay here. */
const passedOn = ['LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'NODE_PATH', 'SystemRoot', 'TEMP', 'TMP', 'TMPDIR'];
/** Marks the process, so that a program of one file, which would start itself here, does so once at most. */
const marker = 'MULTIMODAL_CHAT_PICTURE_PROCESS';

function startNode(args: readonly string[]): ChildProcess {
  if (process.env[marker]) throw new Error('This is such a process itself.');
  const env: NodeJS.ProcessEnv = {
    [marker]: '1',
    ELECTRON_RUN_AS_NODE: '1',
    // glibc keeps what was freed for each thread, which would count against the memory of the next picture.
    MALLOC_ARENA_MAX: '2',
  };
  for (const name of passedOn) if (process.env[name] !== undefined) env[name] = process.env[name];
  return spawn(process.execPath, args, {
    ...{ env, stdio: ['pipe', 'pipe', 'ignore'] },
    ...{ detached: hasOwnGroup, windowsHide: true },
  });
}

/** The ways to start the process, in the order in which they are tried. */
export const pictureProcessStarts: readonly StartPictureProcess[] = import.meta.url?.endsWith('.ts')
  ? [fromSource]
  : [besideThisFile, fromPackage];
