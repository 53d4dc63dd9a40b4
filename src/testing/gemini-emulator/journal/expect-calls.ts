import { AssertionError } from 'node:assert';
import type { RecordedCall } from './recorded-call.js';

/** Which calls are meant: those that have all that is given here. An empty filter means every call. */
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
  /** Whatever else a call must fulfil, such as `(call) => call.images.length === 8`. */
  readonly where?: ((call: RecordedCall) => boolean) | undefined;
}

/** How many calls are right: exactly so many, or a range whose ends both count. */
export type CallCount = number | { readonly min?: number | undefined; readonly max?: number | undefined };

/** Beyond this a journal is printed without its beginning. */
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

/** A journal ends in the logs of test runs, where no key may be, not even one that was tried out here. */
const maskKey = (key: string) => (key.length < 12 ? key : `...${key.slice(-4)}`);

function describeCall(call: RecordedCall): string {
  const { method, path, key, keyInUrl, project, fault, startedAt, endedAt } = call;
  const who = [
    key === '' ? 'no key' : `key ${maskKey(key)}${keyInUrl ? ' in the URL' : ''}`,
    ...(project === undefined || project === '' || project === key ? [] : [`project ${project}`]),
  ];
  const status = call.status === 0 ? 'no status' : String(call.status);
  const end =
    endedAt === undefined
      ? 'is still being answered'
      : `${status} after ${endedAt - startedAt} ms${call.aborted ? ', the client hung up' : ''}`;
  return `${method} ${path} (${who.join(', ')}) -> ${end}${fault === undefined ? '' : `, fault ${fault}`}`;
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
 * The calls that match.
 *
 * @throws AssertionError with the whole journal in its message when there are not as many as expected.
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
