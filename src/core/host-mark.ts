import { createHash } from 'node:crypto';
import { hostname } from 'node:os';

let mark: string | undefined;

/**
 * Stands for this host in the names of temporary directories: hosts and containers may share a directory, but not
 * their process ids. Made on first use, since Deno asks for a permission to read the name of the host.
 */
export function hostMark(): string {
  mark ??= createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
  return mark;
}
