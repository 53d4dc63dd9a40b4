/**
 * What another source knows about one project and model.
 *
 * @internal
 */
export interface KnownQuota {
  readonly model: string;
  readonly project: string;
  /** Calls that count against the minute, oldest first. */
  readonly calls: readonly { readonly at: number; readonly tokens: number }[];
  readonly blockedUntil?: number | undefined;
  readonly reason?: string | undefined;
}
