import { MemoryError } from '../../core/errors.js';

/** Thrown by every method of a closed store. */
export function closedError(): MemoryError {
  return new MemoryError('The memory store is closed. Create another one, or close it later.');
}
