import assert from 'node:assert/strict';
import type { ModelCapabilities } from '../../model/chat-model.js';

/** Asserts that `some` declares nothing that `all` does not. */
export function assertSubset(some: ModelCapabilities, all: ModelCapabilities): void {
  const listsOf = ({ media, thinkingLevels = [] }: ModelCapabilities): readonly string[] => [
    ...media.inline,
    ...Object.entries(media.upload ?? {}).map(([from, to]) => `${from} as ${to}`),
    ...thinkingLevels,
  ];
  const beyond = listsOf(some).filter((each) => !listsOf(all).includes(each));
  assert.deepEqual(beyond, [], 'not taken by the default model');
  const implied = (name: string, mine: boolean | undefined, theirs: boolean | undefined) =>
    assert.ok(!mine || theirs, `${name} is not taken by the default model`);
  implied('detail', some.media.detail, all.media.detail);
  implied('tools', some.tools, all.tools);
  implied('jsonSchema', some.jsonSchema === true, all.jsonSchema === true);
  implied('jsonSchema', Boolean(some.jsonSchema), Boolean(all.jsonSchema));
  const noLimit = Number.POSITIVE_INFINITY;
  assert.ok((some.media.maxPdfPages ?? noLimit) <= (all.media.maxPdfPages ?? noLimit), 'maxPdfPages');
}
