import type { FailureKind } from '../../core/failure.js';
import type { LimitOrigin } from '../quota/adaptive-limit.js';

/** Stands for infinity, which JSON lacks, in durations and limits. */
export const endless = -1;

/** A blocked or half-open gate. */
export interface GateView {
  /** In how many milliseconds the block ends. */
  readonly after: number;
  readonly why?: FailureKind | undefined;
  readonly strikes?: number | undefined;
  /** For how many milliseconds it has been blocked. */
  readonly lasted?: number | undefined;
}

export interface LimitView {
  readonly value: number;
  readonly origin: LimitOrigin;
  readonly learned?: number | undefined;
}

/** The quota of one project and model, as all processes together have used it. */
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
  /** In how many milliseconds keys, day and cool-down allow a call, if the probes under way succeed. */
  readonly passableAfter: number;
  /** In how many milliseconds a small call may start, even if the probes fail. */
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
  /** One for each call until all quotas were taken or reserved; empty for calls that were skipped. */
  readonly outcomes: readonly {
    /** Indexes of the quota and of its key, and how many tokens of the minute were used before. */
    readonly grant?: readonly [quota: number, key: number, usedTokens: number];
    /** In how many milliseconds the call could start at best, if the probes under way succeed. */
    readonly after?: number;
    /** Whether every key is rejected, or the model, so that the call does not wait. */
    readonly rejected?: boolean;
  }[];
  /** Whether the model is blocked or half-open. */
  readonly parked: boolean;
  /** In how many milliseconds the first waiting call can be served. */
  readonly wakeAfter?: number | undefined;
}

export interface ObserveReply extends LedgerView {
  readonly processes: number;
  readonly queuedElsewhere: number;
  /** Sizes of the longer backlogs elsewhere, by id. */
  readonly backlogs: Readonly<Record<string, number>>;
  /** Digests of Google's project numbers, by the id of the project. */
  readonly consumers: Readonly<Record<string, string>>;
}

/** A waiting call, as the ledger receives it. */
export interface QueuedRequest {
  readonly id: string;
  /** To be charged. */
  readonly tokens: number;
  /** Tokens that have to fit under the limit. */
  readonly fit: number;
  /** Index of the only quota that may serve, from 1. */
  readonly only?: number | undefined;
  /** Milliseconds to the deadline. */
  readonly within: number;
  /** Whether it is paced, as part of a long backlog. */
  readonly paced?: true | undefined;
}

/** How a call ended, as the ledger receives it. */
export interface SettleRequest {
  readonly id: string;
  /** When the call was granted, by the ledger's clock. */
  readonly at: number;
  readonly ok: boolean;
  readonly refund: boolean;
  readonly bookedDayEnd: number;
  readonly tokens?: number | undefined;
  readonly learned?: Readonly<Record<string, number>> | undefined;
  /** Ids of keys, projects and models that the call proved healthy. */
  readonly proven: readonly string[];
  readonly projectModelIsProven: boolean;
  /** Whether the service refused the call for its rate. */
  readonly refused: boolean;
  /** Whether it did so because of the size of the call. */
  readonly tooLarge: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly why?: FailureKind | undefined;
  /** What to block for how long; without an id the project and model of the call. */
  readonly block: readonly { readonly id?: string; readonly ms: number; readonly strikes?: number }[];
  /** Ids of the key, project and model of the call. */
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
