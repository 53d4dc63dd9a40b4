import type { EmulatedAnswer } from './emulated-answer.js';

/** The rest of an answer as a token, so that any emulator can go on with it. */
export const continuationToken = (rest: EmulatedAnswer): string =>
  Buffer.from(JSON.stringify({ emulatedRest: rest })).toString('base64');

/** The rest of the answer that the token is of; `undefined` if it is none of an emulator. */
export function readContinuation(token: string): EmulatedAnswer | undefined {
  try {
    const content: { emulatedRest?: EmulatedAnswer } | null = JSON.parse(
      Buffer.from(token, 'base64').toString(),
    );
    return Array.isArray(content?.emulatedRest?.parts) ? content.emulatedRest : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
