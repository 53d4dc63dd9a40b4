import { textOfBody } from '../shared/turn-body.js';
import type { RecordScope } from './scope.js';

/** A turn as it is stored, in the outbox or on the server. */
export interface TurnRecord {
  readonly id: string;
  readonly scope: RecordScope;
  /** The turn as JSON, by `serializeTurn`. */
  readonly body: string;
}

export const textOf = ({ body }: TurnRecord): string => textOfBody(body);

/** By place in the conversation. */
export const byOrder = (a: TurnRecord, b: TurnRecord): number =>
  a.scope.order - b.scope.order || (a.id < b.id ? -1 : 1);

/** For a record without a vector. Spread out by id: an index of equal points would degenerate. */
export function placeholderVector(id: string): number[] {
  const angle = (Number.parseInt(id.slice(0, 12), 16) / 2 ** 48) * 2 * Math.PI;
  return [Math.cos(angle), Math.sin(angle)];
}
