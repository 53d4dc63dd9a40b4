import { InvalidInputError } from '../index.js';

/** Fields are never ignored: the client would take the answer for one that observes them. */
export const unknownField = (name: string) =>
  new InvalidInputError(
    `The field "${name.slice(0, 100)}" is not known. Send prompt, session_id, stream and files only; the app can allow more with the options \`fields\` and \`prepare\`.`,
  );
