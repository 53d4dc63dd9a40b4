import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Injection } from '../faults/faults.js';
import type { OpenCall } from '../journal/call-log.js';
import type { RecordedCall } from '../journal/recorded-call.js';
import type { EmulatedProject } from '../quota/emulated-project.js';
import type { Route } from './route.js';

/** One request and everything needed to answer it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: Route;
  readonly call: RecordedCall;
  readonly bytes: Buffer;
  readonly project: EmulatedProject;
  readonly injection: Injection | undefined;
  readonly connection: OpenCall;
}

/** Sends a JSON body with status 200, subject to the fault that was injected. */
export type SendJson = (exchange: Exchange, body: unknown) => Promise<void>;
