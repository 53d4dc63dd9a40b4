import { createHmac } from 'node:crypto';

const label = 'multimodal-chat shared ledger';

/**
 * The names of keys, projects, models and tenants in Redis: HMAC-SHA-256, cut to 128 bits. Without the
 * option `secret` a key is its own secret, so that processes with different sets of keys agree about the
 * keys that they share. Names of projects, models and tenants are no secrets and can then be guessed.
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

  /** Google's number of a project. */
  consumer(number: string): string {
    return `c${this.#digest(label, `consumer ${number}`)}`;
  }

  /** The backlog of one tenant for a model; without a tenant that of the batch calls. Not cached, because tenants are many. */
  backlog(model: string, tenant: string | undefined): string {
    return `b${this.#compute(label, tenant === undefined ? `batch ${model}` : `tenant ${model} ${tenant}`)}`;
  }

  /** Demand for a model: interactive calls (`people`), or calls of several tenants. */
  demand(model: string, kind: 'people' | 'tenants'): string {
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
