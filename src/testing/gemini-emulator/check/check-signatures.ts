import { createHmac } from 'node:crypto';
import type { EmulatedModel } from '../models/emulated-models.js';
import type { WireContent } from '../wire/messages.js';
import { isSentinel } from '../wire/sentinels.js';

/** Where the emulator takes a thought signature back. */
export interface SignatureRules {
  /**
   * `any`: signatures are not looked at. `model`: it must have been issued to the same model, by this or
   * another emulator. `project`: and to the same project.
   */
  readonly signatures: 'any' | 'model' | 'project';
  /** That answers, not an alias. */
  readonly model: string;
  readonly project: string;
}

const docs = 'https://ai.google.dev/gemini-api/docs/thought-signatures';

const seal = (text: string) => createHmac('sha256', 'gemini-emulator').update(text).digest('base64url');

/** A signature that says who it was issued to, so that any emulator can check it. */
export function issueSignature({ model, project }: SignatureRules, responseId: string, part: number): string {
  const text = JSON.stringify([project, model, responseId, part]);
  return Buffer.from(`${text}\n${seal(text)}`).toString('base64');
}

/** The message of the 400 for a signature that is wrong, or missing where it is needed. */
export function checkSignatures(
  contents: readonly WireContent[],
  rules: SignatureRules,
  model: EmulatedModel | undefined,
): string | undefined {
  if (rules.signatures === 'any') return undefined;
  for (const { parts = [] } of contents)
    for (const { thoughtSignature } of parts) {
      const message = thoughtSignature && checkSignature(thoughtSignature, rules);
      if (message) return message;
    }
  return model?.needsSignatures ? findMissing(contents, model) : undefined;
}

function checkSignature(signature: string, rules: SignatureRules): string | undefined {
  if (isSentinel(signature)) return undefined;
  const decoded = Buffer.from(signature, 'base64').toString();
  const [text = '', sealed] = decoded.split('\n');
  if (sealed !== seal(text)) return 'Corrupted thought signature.';
  const [project, model] = JSON.parse(text) as readonly string[];
  const isTaken = model === rules.model && (rules.signatures === 'model' || project === rules.project);
  return isTaken ? undefined : 'Invalid thought signature';
}

function findMissing(contents: readonly WireContent[], model: EmulatedModel): string | undefined {
  const isPrompt = ({ role, parts = [] }: WireContent) =>
    role !== 'model' && parts.some((part) => part.functionResponse === undefined);
  const currentTurn = contents.map(isPrompt).lastIndexOf(true);
  for (const [at, { role, parts = [] }] of contents.entries()) {
    if (role !== 'model') continue;
    const picture = parts.findIndex(({ inlineData, thoughtSignature }) => inlineData && !thoughtSignature);
    if (picture >= 0 && model.modalities.includes('IMAGE'))
      return (
        `Image part is missing a thought_signature in content position ${at + 1}, part position ${picture + 1}. ` +
        `Please refer to ${docs}#model-behavior for more details.`
      );
    // Only the first of several calls is signed, and earlier turns are not looked at.
    const call = parts.find(({ functionCall }) => functionCall);
    if (call && !call.thoughtSignature && at > currentTurn)
      return (
        'Function call is missing a thought_signature in functionCall parts. This is required for tools to work ' +
        'correctly, and missing thought_signature may lead to degraded model performance. Additional data, ' +
        `function call \`default_api:${call.functionCall?.name}\` , position ${at + 1}. ` +
        `Please refer to ${docs} for more details.`
      );
  }
  return undefined;
}
