import assert from 'node:assert/strict';
import { BlockedError, ModelCallError } from '../../core/errors.js';
import type { ChatModel, ModelEvent, ModelRequest } from '../../model/chat-model.js';
import type { ContractCase } from './contract-case.js';

/** How the service behind the model answers the next call. */
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
  | 'hangs';

/** A model under test, and the service behind it. */
export interface ChatModelFixture {
  readonly model: ChatModel;
  readonly apiKey: string;
  /** The name of a model that the service knows. */
  readonly modelName: string;
  /** Prepares the service for the next call. */
  prepare(scenario: ChatModelScenario): void | Promise<void>;
  /** Resolves once the service has seen that the caller hung up. */
  cancelled(): Promise<void>;
  /** Number of calls that the service has received. */
  callCount(): number;
  close(): Promise<void>;
}

const answer = 'One two three.';

/**
 * The duties of every `ChatModel`. `create` returns a model and a service behind it that plays scenarios;
 * for Gemini's REST API, use `geminiModelFixture`.
 *
 * @example
 * ```ts
 * const create = () => geminiModelFixture((baseUrl) => new GeminiModel({ baseUrl }));
 * for (const { name, run } of chatModelContract(create)) it(name, run);
 * ```
 */
export function chatModelContract(create: () => Promise<ChatModelFixture>): readonly ContractCase[] {
  const withModel = (name: string, check: (fixture: ChatModelFixture) => Promise<void>): ContractCase => ({
    name,
    async run() {
      const fixture = await create();
      try {
        await check(fixture);
      } finally {
        await fixture.model.close?.();
        await fixture.close();
      }
    },
  });
  const failing = (name: string, scenario: ChatModelScenario, check: (error: unknown) => void) =>
    withModel(name, async (fixture) => {
      await fixture.prepare(scenario);
      const { error } = await collect(fixture);
      check(error);
      assert.equal(fixture.callCount(), 1, 'a model makes one call and leaves retries to its caller');
    });

  return [
    withModel('streams the text in order and ends with exactly one finish', async (fixture) => {
      await fixture.prepare('answers');
      const { events, error } = await collect(fixture);
      assert.equal(error, undefined);
      assert.equal(textOf(events), answer);
      assert.deepEqual(
        events.map(({ type }) => type === 'finish'),
        events.map((_, index) => index === events.length - 1),
      );
    }),
    withModel('reports finish reason, usage and parts', async (fixture) => {
      await fixture.prepare('answers');
      const { events } = await collect(fixture);
      const finish = events.at(-1);
      assert.ok(finish?.type === 'finish');
      assert.equal(finish.finishReason, 'stop');
      assert.ok(finish.usage, 'usage is reported');
      assert.ok(finish.usage.inputTokens > 0 && finish.usage.outputTokens > 0);
      assert.ok(finish.usage.totalTokens >= finish.usage.inputTokens + finish.usage.outputTokens);
      assert.ok(finish.parts.length > 0);
      assert.deepEqual(JSON.parse(JSON.stringify(finish.parts)), finish.parts);
    }),
    withModel('keeps thoughts apart from the text', async (fixture) => {
      await fixture.prepare('thinks');
      const { events, error } = await collect(fixture, { includeThoughts: true });
      assert.equal(error, undefined);
      assert.equal(textOf(events), answer);
      assert.ok(events.some(({ type }) => type === 'thought'));
    }),
    failing('throws a failure of the service as ModelCallError', 'is-overloaded', (error) => {
      assert.ok(ModelCallError.isInstance(error), `threw ${String(error)}`);
      assert.equal(error.failure.kind, 'overloaded');
    }),
    failing('throws a refusal as BlockedError with its reason', 'blocks', (error) => {
      assert.ok(BlockedError.isInstance(error), `threw ${String(error)}`);
      assert.notEqual(error.reason, '');
    }),
    failing('throws a stream that ends without a finish as incomplete', 'ends-without-finish', (error) => {
      assert.ok(ModelCallError.isInstance(error), `threw ${String(error)}`);
      assert.equal(error.failure.kind, 'incomplete');
    }),
    failing('throws a broken connection as ModelCallError', 'breaks-off', (error) => {
      assert.ok(ModelCallError.isInstance(error), `threw ${String(error)}`);
      assert.ok(['network', 'incomplete'].includes(error.failure.kind), error.failure.kind);
    }),
    withModel('shows no key in what it throws', async (fixture) => {
      await fixture.prepare('refuses-the-key');
      const { error } = await collect(fixture);
      assert.ok(ModelCallError.isInstance(error), `threw ${String(error)}`);
      assert.equal(error.failure.scope, 'key');
      assert.ok(!everythingIn(error).includes(fixture.apiKey), 'the error holds the key');
    }),
    withModel('throws the reason of an abort while it streams, and hangs up', async (fixture) => {
      await fixture.prepare('hangs');
      const reason = new Error('the user left');
      const controller = new AbortController();
      const stream = fixture.model.stream(requestOf(fixture), {
        apiKey: fixture.apiKey,
        signal: controller.signal,
      });
      await assert.rejects(
        async () => {
          for await (const event of stream) if (event.type === 'text') controller.abort(reason);
        },
        (error) => error === reason,
      );
      await fixture.cancelled();
    }),
    withModel('makes no call if the signal has already aborted', async (fixture) => {
      await fixture.prepare('answers');
      const reason = new Error('too late');
      const { error } = await collect(fixture, {}, AbortSignal.abort(reason));
      assert.equal(error, reason);
      assert.equal(fixture.callCount(), 0);
    }),
    withModel('hangs up when the loop is left early', async (fixture) => {
      await fixture.prepare('hangs');
      for await (const event of fixture.model.stream(requestOf(fixture), { apiKey: fixture.apiKey }))
        if (event.type === 'text') break;
      await fixture.cancelled();
    }),
  ];
}

const requestOf = (fixture: ChatModelFixture, generation: ModelRequest['generation'] = {}): ModelRequest => ({
  model: fixture.modelName,
  messages: [{ role: 'user', parts: [{ type: 'text', text: 'Count to three, please.' }] }],
  generation,
});

async function collect(
  fixture: ChatModelFixture,
  generation: ModelRequest['generation'] = {},
  signal?: AbortSignal,
): Promise<{ events: readonly ModelEvent[]; error: unknown }> {
  const events: ModelEvent[] = [];
  try {
    const stream = fixture.model.stream(requestOf(fixture, generation), { apiKey: fixture.apiKey, signal });
    for await (const event of stream) events.push(event);
    return { events, error: undefined };
  } catch (error) {
    return { events, error };
  }
}

const textOf = (events: readonly ModelEvent[]) =>
  events.map((event) => (event.type === 'text' ? event.text : '')).join('');

/** Every string that can be reached from an error, whether or not it is enumerable. */
function everythingIn(value: unknown, seen = new Set<unknown>()): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (seen.has(value)) return '';
  seen.add(value);
  return Reflect.ownKeys(value)
    .map((key) => `${String(key)} ${everythingIn(Reflect.get(value, key), seen)}`)
    .join('\n');
}
