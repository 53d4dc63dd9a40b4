import type { FailureKind } from '../../core/failure.js';
import type { LimitOrigin } from '../quota/adaptive-limit.js';

/** Infinity has no JSON: where a number says for how long or how much, -1 is without end. */
export const endless = -1;

/** Who is left alone, and for how many more milliseconds. */
export interface GateView {
  readonly after: number;
  readonly why?: FailureKind | undefined;
  readonly strikes?: number | undefined;
  /** For how many milliseconds it has been so. */
  readonly lasted?: number | undefined;
}

export interface LimitView {
  readonly value: number;
  readonly origin: LimitOrigin;
  readonly learned?: number | undefined;
}

/** One project and model as all processes together know it. */
export interface QuotaView {
  readonly requests: number;
  readonly tokens: number;
  readonly inFlight: number;
  readonly day: number;
  /** Length of the sliding window in milliseconds. */
  readonly window: number;
  readonly rpm: LimitView;
  readonly tpm: LimitView;
  readonly rpd: LimitView;
  /** In how many milliseconds keys, day and cooling let a call pass, if the probes under way meet nothing bad. */
  readonly passableAfter: number;
  /** In how many milliseconds a small call may start, whatever the probes meet. */
  readonly freeAfter: number;
  readonly gate?: GateView | undefined;
}

export interface LedgerView {
  /** Milliseconds since the epoch by the ledger's clock. */
  readonly now: number;
  readonly quotas?: readonly QuotaView[] | undefined;
  /** By the id of a key, project or model. */
  readonly gates?: Readonly<Record<string, GateView>> | undefined;
}

export interface ReserveReply extends LedgerView {
  /** One for each call until all quotas were taken or reserved; empty for those that were passed over. */
  readonly outcomes: readonly {
    /** Places of the quota and of its key, and how many tokens of the minute were used before. */
    readonly grant?: readonly [quota: number, key: number, usedTokens: number];
    /** In how many milliseconds the call could start at best, if the probes under way meet nothing bad. */
    readonly after?: number;
  }[];
  /** Whether something is held against the model. */
  readonly parked: boolean;
  /** When the first of those that wait can be served. */
  readonly wakeAfter?: number | undefined;
}

export interface ObserveReply extends LedgerView {
  readonly processes: number;
  readonly queuedElsewhere: number;
  /** Sizes of the longer backlogs elsewhere, by id. */
  readonly backlogs: Readonly<Record<string, number>>;
  /** Digests of project numbers by the id of the project. */
  readonly consumers: Readonly<Record<string, string>>;
}

export interface QueuedRequest {
  readonly id: string;
  /** To be booked. */
  readonly tokens: number;
  /** What has to fit under the limit. */
  readonly fit: number;
  /** Place of the only quota that may serve, from 1. */
  readonly only?: number | undefined;
  /** How long the caller still waits, in milliseconds. */
  readonly within: number;
  /** Whether it belongs to a long backlog, which is served evenly. */
  readonly paced?: true | undefined;
}

/** How a call ended, as the ledger has to know it. */
export interface SettleRequest {
  readonly id: string;
  /** When the call was granted, by the ledger's clock. */
  readonly at: number;
  readonly ok: boolean;
  readonly refund: boolean;
  readonly bookedDayEnd: number;
  readonly tokens?: number | undefined;
  readonly learned?: Readonly<Record<string, number>> | undefined;
  /** Ids of keys, projects and models that the call proved to be well. */
  readonly proven: readonly string[];
  readonly projectModelIsProven: boolean;
  /** Whether the service refused the call for its rate. */
  readonly refused: boolean;
  /** Whether it did so for the size of the call alone. */
  readonly tooLarge: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly why?: FailureKind | undefined;
  /** Whom to leave alone for how long; without an id the project and model of the call. */
  readonly block: readonly { readonly id?: string; readonly ms: number; readonly strikes?: number }[];
  /** Ids of everybody who took part in the call. */
  readonly touched: readonly string[];
  readonly consumer?: string | undefined;
}

/** What a process writes back when it joins the ledger. */
export interface RecoverySnapshot {
  readonly gates: Readonly<Record<string, GateView>>;
  readonly quotas: readonly {
    readonly learned: Readonly<Record<string, number>>;
    readonly day: number;
    readonly dayEnd: number;
    /** When `day` was read; 0 when never. */
    readonly seenAt: number;
    readonly blockedFor?: number | undefined;
    readonly why?: string | undefined;
    readonly calls: readonly (readonly [id: string, at: number, tokens: number])[];
  }[];
}
