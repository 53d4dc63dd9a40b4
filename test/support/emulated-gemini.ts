import { GoogleGenAI } from '@google/genai';
import {
  type GeminiEmulator,
  startGeminiEmulator,
} from '../../src/testing/gemini-emulator/gemini-emulator.js';
import type { GeminiEmulatorOptions } from '../../src/testing/gemini-emulator/options.js';

/** Starts emulators for one test file; call `closeAll` in its `afterEach`. */
export function createStarter() {
  const opened: GeminiEmulator[] = [];
  return {
    async start(options: GeminiEmulatorOptions = {}) {
      const emulator = await startGeminiEmulator(options);
      opened.push(emulator);
      const client = (apiKey: string) =>
        new GoogleGenAI({ apiKey, vertexai: false, httpOptions: { baseUrl: emulator.url } });
      return { emulator, client, ai: client('a-key') };
    },
    async closeAll() {
      await Promise.all(opened.splice(0).map((emulator) => emulator.close()));
    },
  };
}

export const model = 'gemini-3.8-flash';

/** The HTTP status that the real client reports. */
export const statusOf = (call: Promise<unknown>): Promise<number> =>
  call.then(
    () => 200,
    (error: { status: number }) => error.status,
  );

export const twoProjects: GeminiEmulatorOptions = {
  projects: [
    { id: 'alpha', keys: ['key-a1', 'key-a2'], limits: { rpm: 3 } },
    { id: 'beta', keys: ['key-b'] },
  ],
};
