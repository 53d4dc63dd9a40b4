import { describe, expect, it } from 'vitest';
import { MultimodalChatError } from '../../core/errors.js';
import { ChromaStartError, explainStartFailure } from './explain-start-failure.js';

const system = 'linux x64 with glibc 2.36';
const explain = (output: string) => explainStartFailure(output, { system, port: 8123, exit: 'code 1' });

describe('explainStartFailure', () => {
  it.each([
    [
      "Error: /lib/libc.so.6: version `GLIBC_2.38' not found (required by x.node)",
      'unsupported',
      /needs glibc 2\.39 or newer; this system is linux x64 with glibc 2\.36\. .*Debian 13/,
    ],
    ["Error: Cannot find module 'chromadb-js-bindings-linux-x64-gnu'", 'not-installed', /--omit=optional/],
    ['Error: Unsupported architecture on Linux: riscv64', 'not-installed', /this system is linux/],
    ['Address 127.0.0.1:8123 is not available', 'port-taken', /Port 8123 is in use/],
    ['thread main panicked', 'crashed', /ended with code 1 .*It wrote last:\nthread main panicked/s],
    ['', 'crashed', /It wrote nothing/],
  ])('reads %j as %s', (output, reason, sentence) => {
    const error = explain(output);
    expect(error.reason).toBe(reason);
    expect(error.message).toMatch(sentence);
  });

  it('makes errors of this package with a stable code', () => {
    const error = explain('Address 127.0.0.1:8123 is not available');
    expect(error.code).toBe('CHROMA_START_PORT_TAKEN');
    expect(ChromaStartError.isInstance(error) && MultimodalChatError.isInstance(error)).toBe(true);
  });
});
