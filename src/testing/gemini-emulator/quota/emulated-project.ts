/** What a project may spend on one model. An absent quota is not limited. */
export interface EmulatedLimits {
  /** Requests a minute. */
  readonly rpm?: number | undefined;
  /** Input tokens a minute. */
  readonly tpm?: number | undefined;
  /** Requests a day; the day ends at midnight in Los Angeles. */
  readonly rpd?: number | undefined;
}

/** A project with its keys and quotas. */
export interface EmulatedProject {
  readonly id: string;
  readonly keys: readonly string[];
  /** For every model alike, or by model name. A model without an entry is not limited. */
  readonly limits?: EmulatedLimits | Readonly<Record<string, EmulatedLimits>> | undefined;
  /** Decides the names of the quotas in a 429. Default `free`. */
  readonly tier?: 'free' | 'paid' | undefined;
}
