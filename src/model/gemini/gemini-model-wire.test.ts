import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { run } from '../../../test/support/model-calls.js';
import { recordedAnswers, wireBytes } from '../../../test/support/recorded-answers.js';
import { GeminiModel } from './gemini-model.js';

describe('GeminiModel', () => {
  /** Serves one reply in the pieces given, each in a packet of its own. */
  async function serve(pieces: readonly Uint8Array[], status = 200, headers: Record<string, string> = {}) {
    const server = createServer(async (_, response) => {
      response.writeHead(status, headers);
      for (const piece of pieces) {
        response.write(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return {
      url,
      close: () =>
        new Promise((resolve) => {
          server.close(resolve);
          server.closeAllConnections();
        }),
    };
  }

  it.each(recordedAnswers.filter(({ name }) => name.startsWith('stream_')))(
    'reads the recorded $name byte by byte from the socket',
    async ({ body, contentType, end, text, thoughts }) => {
      const whole = wireBytes(body);
      const pieces = Array.from(whole, (_, index) => whole.subarray(index, index + 1));
      const server = await serve(pieces, 200, { 'Content-Type': contentType });
      expect(await run(new GeminiModel({ baseUrl: server.url }))).toMatchObject({ end, text, thoughts });
      await server.close();
    },
  );

  it('does not follow a redirect, which would carry the key along', async () => {
    const server = await serve([], 307, { Location: 'http://127.0.0.1:9/elsewhere' });
    const { failure } = await run(new GeminiModel({ baseUrl: server.url }));
    expect(failure).toMatchObject({ kind: 'invalid-request', status: 307, reason: 'NOT_GEMINI' });
    await server.close();
  });

  it('does not read an endless error page to its end', async () => {
    const page = new Uint8Array(1024 * 1024).fill(60);
    const server = await serve(
      Array.from({ length: 50 }, () => page),
      500,
    );
    expect((await run(new GeminiModel({ baseUrl: server.url }))).failure).toMatchObject({
      kind: 'internal',
      status: 500,
    });
    await server.close();
  });
});
