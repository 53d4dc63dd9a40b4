import type { EncodedPacket } from 'mediabunny';
import type { OpenIndex } from './index-thread.js';
import type { PacketQuery } from './serve-indexes.js';

interface Retrieval {
  /** Whether the data is left out, which costs next to nothing. Default false. */
  readonly metadataOnly?: boolean | undefined;
}

type Found = Promise<EncodedPacket | null>;

/** The packets of a clip's video track, like mediabunny's `EncodedPacketSink` but read in another thread. */
export class PacketFinder {
  readonly #index: OpenIndex;
  readonly #packet: typeof EncodedPacket;
  readonly #handles = new WeakMap<EncodedPacket, number>();

  constructor(index: OpenIndex, packet: typeof EncodedPacket) {
    this.#index = index;
    this.#packet = packet;
  }

  /** The packet on screen at a time. */
  getPacket(seconds: number, { metadataOnly = false }: Retrieval = {}): Found {
    return this.#find({ at: seconds, keyOnly: false, metadataOnly });
  }

  /** The last keyframe at or before a time. */
  getKeyPacket(seconds: number, { metadataOnly = false }: Retrieval = {}): Found {
    return this.#find({ at: seconds, keyOnly: true, metadataOnly });
  }

  getFirstKeyPacket({ metadataOnly = false }: Retrieval = {}): Found {
    return this.#find({ after: undefined, keyOnly: true, metadataOnly });
  }

  /** The packet that is decoded next. Of packets with data, only the latest few are known. */
  getNextPacket(packet: EncodedPacket, { metadataOnly = false }: Retrieval = {}): Found {
    return this.#find({ after: this.#handleOf(packet), keyOnly: false, metadataOnly });
  }

  getNextKeyPacket(packet: EncodedPacket, { metadataOnly = false }: Retrieval = {}): Found {
    return this.#find({ after: this.#handleOf(packet), keyOnly: true, metadataOnly });
  }

  #handleOf(packet: EncodedPacket): number {
    const handle = this.#handles.get(packet);
    if (handle === undefined) throw new Error('The packet is of another index.');
    return handle;
  }

  async #find(query: PacketQuery): Found {
    const found = await this.#index.find(query);
    if (!found) return null;
    const { handle, data, type, timestamp, duration, sequenceNumber, byteLength } = found;
    const packet = new this.#packet(data, type, timestamp, duration, sequenceNumber, byteLength);
    this.#handles.set(packet, handle);
    return packet;
  }
}
