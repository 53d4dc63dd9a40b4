import type { Exchange, SendJson } from './exchange/exchange.js';
import { sendError } from './exchange/respond.js';
import { modelNotFound } from './wire/error-bodies.js';
import type { WireGenerateRequest } from './wire/messages.js';
import { countInputTokens } from './wire/token-count.js';

/** Answers `countTokens`. */
export async function countTokens(exchange: Exchange, send: SendJson): Promise<void> {
  const body = (exchange.call.body ?? {}) as WireGenerateRequest & {
    generateContentRequest?: WireGenerateRequest;
  };
  const { total, byModality } = countInputTokens(body.generateContentRequest ?? body, exchange.call.model);
  await send(exchange, { totalTokens: total, promptTokensDetails: byModality });
}

/** Answers `GET models` and `GET models/{name}`. */
export async function models(exchange: Exchange, send: SendJson, known: readonly string[]): Promise<void> {
  const { model, version } = exchange.route;
  if (!model) await send(exchange, { models: known.map(describeModel) });
  else if (known.includes(model)) await send(exchange, describeModel(model));
  else sendError(exchange.response, exchange.route, modelNotFound(model, version, 'generateContent'));
}

function describeModel(name: string): Readonly<Record<string, unknown>> {
  const embeds = name.includes('embedding');
  return {
    name: `models/${name}`,
    version: '001',
    displayName: `${name} (emulated)`,
    inputTokenLimit: embeds ? 8192 : 1_048_576,
    outputTokenLimit: embeds ? 1 : 65_536,
    supportedGenerationMethods: embeds
      ? ['embedContent', 'batchEmbedContents', 'countTokens']
      : ['generateContent', 'countTokens'],
    ...(!embeds && { thinking: true }),
  };
}
