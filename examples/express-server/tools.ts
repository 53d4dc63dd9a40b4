import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Tool, tool } from 'multimodal-chat';
import { z } from 'zod';

/** Tools to try the page with: one that runs by itself, and one that the user has to allow. */
export const exampleTools = (dataDir: string): readonly Tool[] => [
  tool({
    name: 'current_time',
    description: 'Tells the date and the time of the server, in UTC.',
    execute: () => new Date().toISOString(),
  }),
  tool({
    name: 'save_note',
    description: 'Adds a line to the file notes.txt of the server.',
    input: z.object({ note: z.string().min(1).max(2000) }),
    needsApproval: true,
    execute: async ({ note }) => {
      await appendFile(join(dataDir, 'notes.txt'), `${note.replaceAll('\n', ' ')}\n`);
      return 'The note is saved.';
    },
  }),
];
