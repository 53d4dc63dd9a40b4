import type { Failure, FailureKind, FailureScope } from '../core/failure.js';

const scopes: Readonly<Record<FailureKind, FailureScope>> = {
  'rate-limit': 'project-model',
  'daily-quota': 'project-model',
  'no-quota': 'project-model',
  auth: 'key',
  permission: 'project',
  'model-unavailable': 'project-model',
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

/** Creates a failure of this kind with its usual scope; `fields` overrides and adds. */
export function makeFailure(kind: FailureKind, fields: Partial<Failure> = {}): Failure {
  return { kind, scope: scopes[kind], message: `The call failed: ${kind}.`, ...fields };
}
