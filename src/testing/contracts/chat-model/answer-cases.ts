import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { ContractCase } from '../contract-case.js';
import { assertAgreement } from './assert-agreement.js';
import { answer, collect, textOf } from './calling.js';
import type { ChatModelFixture, ChatModelScenario, ExtraScenario } from './fixture.js';

type WithModel = (name: string, check: (fixture: ChatModelFixture) => Promise<void>) => ContractCase;

const scenariosOfAnswers: readonly ChatModelScenario[] = [
  ...(['answers', 'thinks', 'draws', 'runs-code', 'calls-functions', 'cites', 'omits-counts'] as const),
];

const lacks = ({ lacks = [] }: ChatModelFixture, scenario: ChatModelScenario) =>
  lacks.some((each) => each === scenario);

async function finished(fixture: ChatModelFixture, continuation?: Parameters<typeof collect>[4]) {
  const { events, error } = await collect(fixture, { includeThoughts: true }, {}, undefined, continuation);
  assert.equal(error, undefined);
  const finish = events.at(-1);
  assert.ok(finish?.type === 'finish', 'the last event is no finish');
  return { events, finish };
}

/** What a model owes for everything that an answer can hold. */
export function answerCases(withModel: WithModel): readonly ContractCase[] {
  const withScenario = (
    name: string,
    scenario: ExtraScenario,
    check: (answer: Awaited<ReturnType<typeof finished>>) => void,
  ) =>
    withModel(name, async (fixture) => {
      if (lacks(fixture, scenario)) return;
      await fixture.prepare(scenario);
      check(await finished(fixture));
    });

  return [
    ...scenariosOfAnswers.map((scenario) =>
      withModel(`says the same in its events and in the parts of its end: ${scenario}`, async (fixture) => {
        if (lacks(fixture, scenario)) return;
        await fixture.prepare(scenario);
        const { events, finish } = await finished(fixture);
        assertAgreement(events, finish);
      }),
    ),
    withScenario('gives generated files with their bytes and fingerprint', 'draws', ({ events, finish }) => {
      const files = events.flatMap((event) => (event.type === 'file' ? [event.file] : []));
      assert.ok(files.length > 0, 'no file event');
      for (const { data, fingerprint, mimeType, name } of files) {
        assert.equal(fingerprint, createHash('sha256').update(data).digest('hex'));
        assert.match(mimeType, /^image\/\w+$/);
        assert.notEqual(name, '');
      }
      assert.equal(finish.finishReason, 'stop');
      const [{ data } = { data: new Uint8Array() }] = files;
      const record = JSON.stringify(finish.parts);
      assert.ok(
        !record.includes(Buffer.from(data).toString('base64')),
        'the parts hold the bytes of the file',
      );
    }),
    withScenario('gives code that was run, and after it what it printed', 'runs-code', ({ events }) => {
      const kinds = events.map(({ type }) => type);
      assert.ok(kinds.includes('code'), 'no code event');
      assert.equal(kinds[kinds.indexOf('code') + 1], 'code-result');
      assert.notEqual(textOf(events), '');
    }),
    withScenario('gives function calls, each with an id of its own', 'calls-functions', ({ events }) => {
      const calls = events.flatMap((event) => (event.type === 'tool-call' ? [event.call] : []));
      assert.deepEqual(
        calls.map(({ name, input }) => ({ name, input })),
        ['7', '8'].map((id) => ({ name: 'find_order', input: { id } })),
      );
      const ids = calls.map(({ callId }) => callId);
      assert.ok(!ids.includes(''), 'a call has no id');
      assert.equal(new Set(ids).size, ids.length);
    }),
    withScenario('gives sources, with spans of the text in UTF-16 units', 'cites', ({ events }) => {
      const sources = events.flatMap((event) => (event.type === 'source' ? [event.source] : []));
      assert.ok(sources.length > 0, 'no source event');
      for (const { url, title, spans = [] } of sources) {
        assert.ok(url ?? title, 'a source has neither title nor URL');
        for (const { start, end } of spans) assert.equal(textOf(events).slice(start, end), 'two');
      }
    }),
    withScenario('reports no count that the service did not', 'omits-counts', ({ events, finish }) => {
      assert.equal(textOf(events), answer);
      assert.ok((finish.usage?.inputTokens ?? 0) > 0, 'the input tokens are missing');
      const { outputTokens, thoughtTokens, totalTokens, cachedInputTokens, toolTokens } = finish.usage ?? {};
      assert.deepEqual(
        [outputTokens, thoughtTokens, totalTokens, cachedInputTokens, toolTokens],
        [...Array(5)],
      );
    }),
    withModel('goes on with an answer that ended with a continuation', async (fixture) => {
      if (lacks(fixture, 'continues')) return;
      await fixture.prepare('continues');
      const first = await finished(fixture);
      const { continuation } = first.finish;
      assert.ok(continuation !== undefined, 'the first answer has no continuation');
      assert.deepEqual(JSON.parse(JSON.stringify(continuation)), continuation);
      const second = await finished(fixture, continuation);
      assert.equal(textOf(first.events) + textOf(second.events), answer);
      assert.notEqual(textOf(second.events), '');
      assert.equal(second.finish.continuation, undefined);
      assert.equal(second.finish.finishReason, 'stop');
    }),
  ];
}
