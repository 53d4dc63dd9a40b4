import assert from 'node:assert/strict';
import type { ModelRequest } from '../../../model/chat-model.js';
import type { ContractCase } from '../contract-case.js';
import { answer, keyOf, question, requestOf, textOf } from './calling.js';
import type { ChatModelFixture } from './fixture.js';

type WithModel = (name: string, check: (fixture: ChatModelFixture) => Promise<void>) => ContractCase;

const findOrder = {
  name: 'find_order',
  description: 'Looks up an order by its number.',
  inputSchema: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
};
const origin = { provider: 'another-provider', model: 'another-model' };
const steps: ModelRequest['messages'] = [
  question,
  {
    role: 'assistant',
    origin,
    parts: [{ type: 'tool-call', callId: 'call-7', name: 'find_order', input: { id: '7' } }],
  },
  {
    role: 'tool',
    parts: [{ type: 'tool-result', callId: 'call-7', name: 'find_order', output: { city: 'Oslo' } }],
  },
];

/** What a model owes that says it can call tools. */
export const toolCases = (withModel: WithModel): readonly ContractCase[] => [
  withModel('is told of tools, of calls of another model and of their results', async (fixture) => {
    const { model, modelName } = fixture;
    if (model.capabilities(modelName).tools !== true) return;
    await fixture.prepare('answers');
    const request = { ...requestOf(fixture, {}, steps), tools: [findOrder] };
    const events = [];
    for await (const event of model.stream(request, keyOf(fixture))) events.push(event);
    assert.equal(textOf(events), answer);
    if (fixture.lastRequest === undefined) return;
    const sent = JSON.stringify(fixture.lastRequest()).replaceAll('\\"', '"');
    for (const part of [findOrder.description, '"required":["id"]', '"id":"7"', '"city":"Oslo"'])
      assert.ok(sent.includes(part), `the request lacks ${part}`);
  }),
];
