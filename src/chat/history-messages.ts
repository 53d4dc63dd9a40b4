import { z } from 'zod';
import type { Message } from '../core/message.js';
import { messageSchema } from './transfer-schema.js';

/** An earlier message that the caller keeps: its text, or its parts as in `Turn.messages`. */
export type HistoryMessage =
  | { readonly role: 'user' | 'assistant'; readonly text: string; readonly parts?: never }
  | (Message & { readonly text?: never });

const role = z.enum(['user', 'assistant'], {
  error:
    'must be `user` or `assistant`; give the text of a system message as `systemInstruction`, and results of tools in `parts`',
});

const textMessageSchema = z
  .strictObject({ role, text: z.string() })
  .transform(({ role, text }): Message => ({ role, parts: text === '' ? [] : [{ type: 'text', text }] }));

const partsMessageSchema = messageSchema
  .extend({ text: z.never('does not go together with `parts`').optional() })
  .transform((message) => message as object as Message);

/** The messages before the prompt, oldest first. */
export const historySchema = z.array(
  z.unknown().transform((message, context): Message => {
    const hasParts = typeof message === 'object' && message !== null && 'parts' in message;
    const result = (hasParts ? partsMessageSchema : textMessageSchema).safeParse(message);
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      context.addIssue({ code: 'custom', path: issue.path, message: issue.message });
    }
    return z.NEVER;
  }),
);
