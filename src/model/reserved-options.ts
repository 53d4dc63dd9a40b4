import type { ProviderOptions } from './chat-model.js';

const wouldCall = 'it would make calls that no key was leased for';

/** Fields of `providerOptions` that the request or the call itself decides, by provider, and what to do instead. */
const reserved: Readonly<Record<string, ReadonlyMap<string, string>>> = {
  google: new Map([
    ['systemInstruction', 'use `systemInstruction` of the chat or the request'],
    ['abortSignal', 'use `signal` of the request'],
    ['httpOptions', 'use `baseUrl`, `apiVersion`, `headers`, `fetch` and `timeouts`'],
    ['automaticContinuation', wouldCall],
    ['automaticFunctionCalling', wouldCall],
  ]),
};

/** The first field of `providerOptions` that would be ignored, and a sentence about it. */
export function findReservedOption(
  options: ProviderOptions | undefined,
): { readonly path: readonly [provider: string, field: string]; readonly message: string } | undefined {
  for (const [provider, fields] of Object.entries(reserved)) {
    const own = options?.[provider];
    if (own === undefined) continue;
    for (const [field, advice] of fields)
      if (own[field] !== undefined) return { path: [provider, field], message: `cannot be set: ${advice}` };
  }
  return undefined;
}
