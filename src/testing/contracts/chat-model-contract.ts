import assert from 'node:assert/strict';
import { BlockedError, ClosedError, ModelCallError } from '../../core/errors.js';
import type { ModelRequest } from '../../model/chat-model.js';
import { assertSubset } from './assert-subset.js';
import { answerCases } from './chat-model/answer-cases.js';
import { answer, collect, keyOf, question, requestOf, textOf, userMessage } from './chat-model/calling.js';
import type { ChatModelFixture, ChatModelScenario } from './chat-model/fixture.js';
import { toolCases } from './chat-model/tool-cases.js';
import type { ContractCase } from './contract-case.js';

/**
 * What every `ChatModel` owes. `create` returns a model and a service whose behavior can be set; for a model
 * that speaks Gemini's REST API, `geminiModelFixture` does so.
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
    withModel('names its provider and a default model', async ({ model }) => {
      assert.notEqual(model.provider.trim(), '');
      assert.notEqual(model.models.default.trim(), '');
    }),
    withModel('declares for an unknown name at most what the default model takes', async ({ model }) => {
      const unknown = model.capabilities('a-name-that-no-provider-has');
      assertSubset(unknown, model.capabilities(model.models.default));
    }),
    withModel('makes a call without a key exactly if it needs none', async (fixture) => {
      await fixture.prepare('answers');
      const { events, error } = await collect(fixture, {}, { apiKey: undefined });
      if (fixture.model.needsKey) {
        assert.ok(ModelCallError.isInstance(error), `threw ${String(error)}`);
        assert.equal(error.failure.kind, 'auth');
        assert.equal(fixture.callCount(), 0);
      } else {
        assert.equal(error, undefined);
        assert.equal(textOf(events), answer);
      }
    }),
    withModel('does not send the metadata of another provider', async (fixture) => {
      await fixture.prepare('answers');
      const { events, error } = await collect(fixture, {}, {}, [...foreignTurn, question]);
      assert.equal(error, undefined);
      assert.equal(textOf(events), answer);
      const sent = JSON.stringify(fixture.lastRequest?.() ?? '');
      assert.ok(!sent.includes(foreignSecret), 'the request holds the metadata of another provider');
      if (fixture.lastRequest)
        assert.ok(sent.includes(foreignText), 'the request lacks the text of the turn');
    }),
    withModel('throws ClosedError after it is closed', async (fixture) => {
      if (fixture.model.close === undefined) return;
      await fixture.model.close();
      const { error } = await collect(fixture);
      assert.ok(ClosedError.isInstance(error), `threw ${String(error)}`);
      assert.equal(fixture.callCount(), 0);
    }),
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
      const { inputTokens = 0, outputTokens = 0, totalTokens = 0 } = finish.usage;
      assert.ok(inputTokens > 0 && outputTokens > 0);
      assert.ok(totalTokens >= inputTokens + outputTokens);
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
    failing('throws a stream without a finish reason as incomplete', 'ends-without-finish', (error) => {
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
    withModel(
      'throws the reason of an abort while it streams, and closes the connection',
      async (fixture) => {
        await fixture.prepare('hangs');
        const reason = new Error('the user left');
        const controller = new AbortController();
        const { signal } = controller;
        const stream = fixture.model.stream(requestOf(fixture), { ...keyOf(fixture), signal });
        await assert.rejects(
          async () => {
            for await (const event of stream) if (event.type === 'text') controller.abort(reason);
          },
          (error) => error === reason,
        );
        await fixture.cancelled();
      },
    ),
    withModel('makes no call if the signal is already aborted', async (fixture) => {
      await fixture.prepare('answers');
      const reason = new Error('too late');
      const { error } = await collect(fixture, {}, { signal: AbortSignal.abort(reason) });
      assert.equal(error, reason);
      assert.equal(fixture.callCount(), 0);
    }),
    withModel('closes the connection when the loop is left early', async (fixture) => {
      await fixture.prepare('hangs');
      for await (const event of fixture.model.stream(requestOf(fixture), keyOf(fixture)))
        if (event.type === 'text') break;
      await fixture.cancelled();
    }),
    ...answerCases(withModel),
    ...toolCases(withModel),
  ];
}

const foreignText = 'An answer of another provider.';
const foreignSecret = 'metadata-of-another-provider';
const foreignMetadata = { 'another-provider': { token: foreignSecret } };
const foreignTurn: ModelRequest['messages'] = [
  userMessage('Hello?'),
  {
    role: 'assistant',
    origin: { provider: 'another-provider', model: 'another-model' },
    parts: [
      { type: 'provider', providerMetadata: foreignMetadata },
      { type: 'text', text: foreignText, providerMetadata: foreignMetadata },
    ],
    providerMetadata: foreignMetadata,
  },
];

/** Every string that can be reached from an error, whether or not it is enumerable. */
function everythingIn(value: unknown, seen = new Set<unknown>()): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (seen.has(value)) return '';
  seen.add(value);
  return Reflect.ownKeys(value)
    .map((key) => `${String(key)} ${everythingIn(Reflect.get(value, key), seen)}`)
    .join('\n');
}
