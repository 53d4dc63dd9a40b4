import type { Failure, FailureKind, FailureScope } from '../core/failure.js';

const scopes: Readonly<Record<FailureKind, FailureScope>> = {
  'rate-limit': 'pair',
  'daily-quota': 'pair',
  'no-quota': 'pair',
  auth: 'key',
  permission: 'project',
  'model-unavailable': 'pair',
  overloaded: 'model',
  internal: 'call',
  timeout: 'call',
  network: 'call',
  incomplete: 'call',
  'invalid-request': 'call',
  'too-large': 'call',
  blocked: 'call',
  billing: 'project',
};

/** A failure of this kind with the scope that it usually has; `fields` overrides and adds. */
export function makeFailure(kind: FailureKind, fields: Partial<Failure> = {}): Failure {
  return { kind, scope: scopes[kind], message: `The call failed: ${kind}.`, ...fields };
}
