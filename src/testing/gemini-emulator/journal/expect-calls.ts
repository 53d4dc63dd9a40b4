import { AssertionError } from 'node:assert';
import type { RecordedCall } from './recorded-call.js';

/** Selects the calls that match every given field. An empty filter selects all calls. */
export interface CallFilter
  extends Partial<
    Pick<
      RecordedCall,
      | 'operation'
      | 'model'
      | 'project'
      | 'key'
      | 'keyInUrl'
      | 'stream'
      | 'status'
      | 'aborted'
      | 'fault'
      | 'method'
      | 'path'
    >
  > {
  /** A further condition, such as `(call) => call.images.length === 8`. */
  readonly where?: ((call: RecordedCall) => boolean) | undefined;
}

/** The expected number of calls: an exact one, or an inclusive range. */
export type CallCount = number | { readonly min?: number | undefined; readonly max?: number | undefined };

/** Longer journals are printed without their beginning. */
const longestPrinted = 40;

const matches = (call: RecordedCall, { where, ...wanted }: CallFilter) =>
  Object.entries(wanted).every(([name, value]) => value === undefined || call[name as 'path'] === value) &&
  (where === undefined || where(call));

function describeFilter({ where, ...wanted }: CallFilter): string {
  const shown = { ...wanted, ...(wanted.key !== undefined && { key: maskKey(wanted.key) }) };
  const named = Object.entries(shown).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${JSON.stringify(value)}`],
  );
  const all = [...named, ...(where ? [`where ${where}`] : [])];
  return all.length === 0 ? '' : ` with ${all.join(', ')}`;
}

function describeCount(count: CallCount): string {
  const { min = 0, max = Number.POSITIVE_INFINITY } =
    typeof count === 'number' ? { min: count, max: count } : count;
  if (min === max) return min === 0 ? 'no call' : min === 1 ? '1 call' : `${min} calls`;
  if (max === Number.POSITIVE_INFINITY) return `at least ${min === 1 ? '1 call' : `${min} calls`}`;
  return min === 0 ? `at most ${max} calls` : `${min} to ${max} calls`;
}

/** Journals end up in the logs of test runs, which must hold no key. */
const maskKey = (key: string) => (key.length < 12 ? key : `...${key.slice(-4)}`);

function describeCall(call: RecordedCall): string {
  const { method, path, key, keyInUrl, project, fault, startedAt, endedAt } = call;
  const caller = [
    key === '' ? 'no key' : `key ${maskKey(key)}${keyInUrl ? ' in the URL' : ''}`,
    ...(project === undefined || project === '' || project === key ? [] : [`project ${project}`]),
  ];
  const status = call.status === 0 ? 'no status' : String(call.status);
  const end =
    endedAt === undefined
      ? 'is still being answered'
      : `${status} after ${endedAt - startedAt} ms${call.aborted ? ', the client hung up' : ''}`;
  return `${method} ${path} (${caller.join(', ')}) -> ${end}${fault === undefined ? '' : `, fault ${fault}`}`;
}

function printJournal(calls: readonly RecordedCall[], found: readonly RecordedCall[]): string {
  if (calls.length === 0) return 'The journal is empty.';
  const from = Math.max(0, calls.length - longestPrinted);
  const lines = calls
    .slice(from)
    .map((call, index) => `${found.includes(call) ? '>' : ' '} ${from + index + 1}. ${describeCall(call)}`);
  const omitted = from === 0 ? [] : [`  (${from} earlier calls are left out)`];
  return ['The journal (> marks the calls that match):', ...omitted, ...lines].join('\n');
}

/**
 * Returns the calls that match.
 *
 * @throws AssertionError with the journal in its message if their number is not as expected.
 */
export function expectCalls(
  calls: readonly RecordedCall[],
  filter: CallFilter,
  count: CallCount,
): readonly RecordedCall[] {
  const found = calls.filter((call) => matches(call, filter));
  const { min = 0, max = Number.POSITIVE_INFINITY } =
    typeof count === 'number' ? { min: count, max: count } : count;
  if (found.length >= min && found.length <= max) return found;
  throw new AssertionError({
    message:
      `Expected ${describeCount(count)}${describeFilter(filter)}, but there ` +
      `${found.length === 1 ? 'was 1' : `were ${found.length === 0 ? 'none' : found.length}`}.\n${printJournal(calls, found)}`,
    actual: found.length,
    expected: count,
    operator: 'expectCalls',
    stackStartFn: expectCalls,
  });
}
