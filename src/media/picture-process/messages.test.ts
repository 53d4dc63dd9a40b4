import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtocolError, readMessages, type WireMessage, writeMessage } from './messages.js';
import { pictureReplySchema } from './picture-messages.js';

const noLimit = () => Number.POSITIVE_INFINITY;

async function readAll(chunks: readonly Uint8Array[], maxBytes = noLimit): Promise<WireMessage[]> {
  const found: WireMessage[] = [];
  for await (const message of readMessages(
    Readable.from(chunks.map((chunk) => Buffer.from(chunk))),
    maxBytes,
  ))
    found.push(message);
  return found;
}

function written(messages: readonly WireMessage[]): Buffer {
  const stream = new PassThrough();
  for (const { header, payloads } of messages) writeMessage(stream, header, payloads);
  return (stream.read() as Buffer | null) ?? Buffer.alloc(0);
}

/** The bytes in pieces of the given sizes. */
function split(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return [...pieces, bytes.subarray(at)];
}

describe('messages of the picture process', () => {
  it('arrive as they were sent, in whatever pieces', async () => {
    const message = fc.record({ header: fc.jsonValue(), payloads: fc.array(fc.uint8Array()) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(message),
        fc.array(fc.integer({ min: 1, max: 50 })),
        async (messages, sizes) => {
          const found = await readAll(split(written(messages), sizes));
          const plain = ({ header, payloads }: WireMessage) => ({
            header: JSON.parse(JSON.stringify(header)),
            payloads: payloads.map((payload) => [...payload]),
          });
          expect(found.map(plain)).toEqual(messages.map(plain));
        },
      ),
    );
  });

  it('are refused by name if they are none, or damaged', async () => {
    const damage = fc.record({ at: fc.nat(), value: fc.nat(255) });
    const sample = written([{ header: { type: 'ready' }, payloads: [Buffer.alloc(20)] }]);
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1 }), fc.uint8Array(), async (damages, more) => {
        const bytes = Buffer.concat([sample, more]);
        for (const { at, value } of damages) bytes[at % bytes.length] = value;
        const outcome = await readAll([bytes], () => 1000).catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(ProtocolError);
        else for (const { header } of outcome as WireMessage[]) pictureReplySchema.safeParse(header);
      }),
    );
  });

  it('are refused before their bytes are read if they are too large', async () => {
    const [header] = split(written([{ header: 1, payloads: [Buffer.alloc(2000)] }]), [40]);
    await expect(readAll([header ?? Buffer.alloc(0)], () => 1999)).rejects.toThrow(
      'A message of 2000 bytes.',
    );
    await expect(readAll([Buffer.from([255, 255, 255, 255])])).rejects.toThrow(
      'A header of 4294967295 bytes.',
    );
  });
});
