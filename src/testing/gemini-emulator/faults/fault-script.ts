import type { RecordedCall } from '../journal/recorded-call.js';
import { createRandom } from '../random.js';
import { type FaultRates, type Injection, isSignatureFault, isUploadFault } from './faults.js';

/** Decides which call fails: injections first, in their order, then random faults. */
export class FaultScript {
  readonly #pending: { readonly injection: Injection; left: number }[] = [];
  readonly #rates: readonly [keyof FaultRates, number][];
  readonly #random: () => number;

  constructor(chaos: { readonly seed?: number; readonly rates?: FaultRates | undefined } = {}) {
    this.#rates = Object.entries(chaos.rates ?? {}) as [keyof FaultRates, number][];
    this.#random = createRandom(chaos.seed ?? 1);
  }

  add(injection: Injection): void {
    this.#pending.push({ injection, left: injection.times ?? 1 });
  }

  clear(): void {
    this.#pending.length = 0;
  }

  /** The injection for this call, if any. */
  take(call: RecordedCall): Injection | undefined {
    const index = this.#pending.findIndex(({ injection }) => matches(injection, call));
    const scripted = this.#pending[index];
    if (!scripted) return call.operation === 'generate' ? this.#draw(call) : undefined;
    scripted.left--;
    if (scripted.left <= 0) this.#pending.splice(index, 1);
    return scripted.injection;
  }

  #draw(call: RecordedCall): Injection | undefined {
    if (this.#rates.length === 0) return undefined;
    let drawn = this.#random();
    for (const [fault, rate] of this.#rates) {
      if (drawn < rate) return isSignatureFault(fault) && !call.hasSignature ? undefined : { fault };
      drawn -= rate;
    }
    return undefined;
  }
}

function matches({ fault, operation, key, model }: Injection, call: RecordedCall): boolean {
  const wanted = operation ?? (isUploadFault(fault) ? 'upload' : 'generate');
  // Only the call that begins an upload has a JSON body; later ones carry bytes.
  if (isUploadFault(fault) && call.body === undefined) return false;
  if (isSignatureFault(fault) && !call.hasSignature) return false;
  return (
    (wanted === 'any' || wanted === call.operation) &&
    (key === undefined || key === call.key) &&
    (model === undefined || model === call.model)
  );
}
