import type { MediaFormat } from '../../source/formats.js';
import type { KeyframeNeighbors, Moment } from '../plan.js';

/** Where a clip is, and which container to read it as. */
export interface IndexLocation {
  readonly indexer: NonNullable<MediaFormat['indexer']>;
  /** All bytes, or else the path of a file. */
  readonly data: Uint8Array | undefined;
  readonly path: string | undefined;
}

/** The main video track, as its container describes it. */
export interface TrackDescription {
  readonly codec: string;
  readonly hasAudio: boolean;
  /** When the first frame is shown. */
  readonly firstSeconds: number;
  /** When the first track of the file begins: zero of the time that frames are labeled with, if positive. */
  readonly originSeconds: number;
  readonly endSeconds: number;
  readonly rotation: 0 | 90 | 180 | 270;
  readonly flip: boolean;
  readonly squareWidth: number;
  readonly squareHeight: number;
  readonly codedWidth: number;
  readonly codedHeight: number;
  readonly colors: VideoColorSpaceInit;
}

/** Frames to decode: their times and what is added to each, in milliseconds. */
export interface PacketSelection {
  readonly timesMs: readonly number[];
  readonly shiftMs: number;
}

export type IndexCall =
  | { readonly open: IndexLocation }
  /** The keyframes around each instant, in milliseconds. */
  | { readonly neighbors: readonly number[] }
  /** The time of the frame at each moment, in milliseconds. */
  | { readonly shownAt: readonly Moment[] }
  /** Starts to write the packets that these frames need; `read` returns the next piece. */
  | { readonly write: PacketSelection }
  | { readonly read: true }
  | { readonly close: true };

export interface IndexQuestion {
  readonly id: number;
  /** Which of the open indexes it is about. */
  readonly index: number;
  readonly call: IndexCall;
}

/** `undefined` if there is no such track, frame or further byte. */
export type IndexValue =
  | TrackDescription
  | readonly KeyframeNeighbors[]
  | readonly number[]
  | Uint8Array
  | undefined;

export interface IndexAnswer {
  readonly id: number;
  readonly value?: IndexValue;
  readonly error?: string | undefined;
}

/** What the worker sends: that it is ready, then answers. */
export type IndexMessage = 'ready' | IndexAnswer;
