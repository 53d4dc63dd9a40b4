import { createHmac } from 'node:crypto';

const label = 'multimodal-chat shared ledger';

/**
 * The names under which keys, projects, models and tenants stand in Redis: HMAC-SHA-256, cut to 128 bits.
 * Without a secret of the caller's a key is its own secret, so that processes with different sets of
 * keys agree about those that they share; names of projects, models and tenants, which are no
 * secrets, could then be guessed by trying.
 */
export class LedgerIds {
  readonly #secret: string | undefined;
  readonly #known = new Map<string, string>();

  constructor(secret: string | undefined) {
    this.#secret = secret;
  }

  key(value: string): string {
    return `k${this.#digest(value, 'key')}`;
  }

  project(name: string): string {
    return `p${this.#digest(label, `project ${name}`)}`;
  }

  /** The project of a key that has no label. */
  projectOfKey(value: string): string {
    return `p${this.#digest(value, 'project')}`;
  }

  model(name: string): string {
    return `m${this.#digest(label, `model ${name}`)}`;
  }

  /** The number by which Google calls a project. */
  consumer(number: string): string {
    return `c${this.#digest(label, `consumer ${number}`)}`;
  }

  /** Calls of one tenant for a model that wait; without a tenant its batch calls. Not remembered: tenants are many. */
  backlog(model: string, tenant: string | undefined): string {
    return `b${this.#compute(label, tenant === undefined ? `batch ${model}` : `tenant ${model} ${tenant}`)}`;
  }

  /** Who asks for a model: people, who may ask again at any moment, or several tenants. */
  askers(model: string, kind: 'people' | 'tenants'): string {
    return `a${this.#digest(label, `${kind} ${model}`)}`;
  }

  #digest(ownSecret: string, text: string): string {
    const known = `${ownSecret} ${text}`;
    let digest = this.#known.get(known);
    if (digest === undefined) {
      digest = this.#compute(ownSecret, text);
      this.#known.set(known, digest);
    }
    return digest;
  }

  #compute(ownSecret: string, text: string): string {
    return createHmac('sha256', this.#secret ?? ownSecret)
      .update(this.#secret === undefined ? `${label} ${text}` : `${label} ${ownSecret} ${text}`)
      .digest('base64url')
      .slice(0, 22);
  }
}
