/** A claim on the next slot of a quota, by the process that waits for it. */
interface Claim {
  readonly by: string;
  readonly at: number;
  readonly paced: boolean;
}

/** Who waits for the next slot, and who had the latest. */
export interface SlotClaims {
  claim?: Claim | undefined;
  /** The process that started the latest paced call. */
  pacedBy?: string | undefined;
}

/** How long after a slot comes free the process that waits for it may still claim it. */
const claimMs = 100;
/** Claims are renewed at least this often, because a process may die. */
const longestClaimMs = 1_000;

/**
 * Claims the slot at `at`, so that the process has had time to ask again when it comes free. Claims of
 * paced calls yield to unpaced calls of other processes, and alternate with their paced calls.
 */
export function claimSlot(facts: SlotClaims, claim: Claim, now: number): void {
  const { claim: other, pacedBy } = facts;
  const isTaken = other !== undefined && other.at > now && other.by !== claim.by;
  if (isTaken && !(other.paced && (!claim.paced || other.by === pacedBy))) return;
  facts.claim = { ...claim, at: Math.min(claim.at, now + longestClaimMs) + claimMs };
}

/** Until when another process than `process` has claimed the next slot; 0 if none has. */
export function claimedUntil({ claim, pacedBy }: SlotClaims, process: string | undefined): number {
  if (claim === undefined || claim.by === process) return 0;
  return claim.paced && pacedBy !== process ? 0 : claim.at;
}
