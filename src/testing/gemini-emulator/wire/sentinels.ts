/** They stand for a signature that a client does not have. */
const sentinels: readonly string[] = [
  'skip_thought_signature_validator',
  'context_engineering_is_the_way_to_go',
];

/** Whether a signature is one of those that Gemini takes without a look, as they are or in base64. */
export const isSentinel = (signature: string): boolean =>
  sentinels.includes(signature) || sentinels.includes(Buffer.from(signature, 'base64').toString());
