import type { ChatModel } from '../../../model/chat-model.js';

/** What the service behind a model does with the next call. */
export type ChatModelScenario =
  /** Answers with the text `One two three.` in several pieces. */
  | 'answers'
  /** Streams thoughts before the same text. */
  | 'thinks'
  /** Fails at once with a transient error, such as a 503. */
  | 'is-overloaded'
  /** Refuses the key and repeats its value in the reply. */
  | 'refuses-the-key'
  /** Refuses to answer for safety. */
  | 'blocks'
  /** Ends after some text without a finish reason. */
  | 'ends-without-finish'
  /** Cuts the connection after some text. */
  | 'breaks-off'
  /** Streams some text, then stays silent. */
  | 'hangs'
  | ExtraScenario;

/** Answers that not every service can give; `lacks` of the fixture names those that it cannot. */
export type ExtraScenario =
  /** Answers with some text and a generated picture. */
  | 'draws'
  /** Answers with code that it ran, what the code printed, then text. */
  | 'runs-code'
  /** Answers with two calls of the function `find_order`: `{ id: '7' }`, then `{ id: '8' }`. */
  | 'calls-functions'
  /** Answers `Grüße: one two three.` on the ground of a source that supports the word `two` of it. */
  | 'cites'
  /** Answers the text of `answers`, and counts nothing but the input. */
  | 'omits-counts'
  /** Answers the text of `answers` in two calls: the first one ends with a continuation. */
  | 'continues';

/** A model under test, and the service behind it. */
export interface ChatModelFixture {
  readonly model: ChatModel;
  /** The key of the call, or the model's own if it does not `needsKey`. */
  readonly apiKey: string;
  /** The name of a model that the service knows. */
  readonly modelName: string;
  /** What the service cannot do; the cases of it pass without a check. Default: nothing. */
  readonly lacks?: readonly ExtraScenario[] | undefined;
  /** Prepares the service for the next call, or for the two of `continues`. */
  prepare(scenario: ChatModelScenario): void | Promise<void>;
  /** Resolves once the service has seen that the caller closed the connection. */
  cancelled(): Promise<void>;
  /** Number of calls that the service has received. */
  callCount(): number;
  /** The body of the last call, in any form that JSON can hold. Some cases check less without it. */
  lastRequest?(): unknown;
  close(): Promise<void>;
}
