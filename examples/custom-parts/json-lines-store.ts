import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readFile, rename, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import type {
  AbortOptions,
  AppendOptions,
  Conversation,
  ForgetTarget,
  MemoryStats,
  MemoryStore,
  RecalledTurn,
  Turn,
} from 'multimodal-chat';
import { ClosedError, MemoryError, toTurn } from 'multimodal-chat';

/**
 * Memory in a readable file: one turn a line, as JSON. For one process and some thousand turns, since all
 * of them are held in memory and searched; `EmbeddedMemoryStore` has no such limits.
 */
export class JsonLinesStore implements MemoryStore {
  readonly #path: string;
  #file: FileHandle;
  #turns: Turn[];
  /** Writes follow one another, so that lines never mix and turns keep their order. */
  #writing: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(path: string, file: FileHandle, turns: Turn[]) {
    this.#path = path;
    this.#file = file;
    this.#turns = turns;
  }

  /** @throws MemoryError if the file cannot be read or created. */
  static async open(path: string): Promise<JsonLinesStore> {
    try {
      await mkdir(dirname(path), { recursive: true });
      const file = await open(path, 'a+');
      const text = await readFile(path, 'utf8');
      // A process that was killed in the middle of a line has not acknowledged this turn.
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      if (whole.length < text.length) await truncate(path, Buffer.byteLength(whole));
      const turns = whole
        .split('\n')
        .filter(Boolean)
        .map((line) => toTurn(JSON.parse(line)));
      return new JsonLinesStore(path, file, turns);
    } catch (cause) {
      throw new MemoryError(`The memory file ${path} cannot be opened: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  append(turn: Turn, options: AppendOptions = {}): Promise<void> {
    return this.#write(options, async () => {
      const at = this.#turns.findIndex((known) => known.id === turn.id && isIn(known, turn));
      if (at >= 0) {
        if (!options.replace) return;
        const turns = this.#turns.map((known, place) => (place === at ? turn : known));
        await this.#replace(turns);
        this.#turns = turns;
        return;
      }
      const line = `${JSON.stringify(turn)}\n`;
      await this.#file.appendFile(line);
      // Only now does the turn survive a loss of power.
      await this.#file.datasync();
      this.#turns.push(toTurn(JSON.parse(line)));
    });
  }

  async recent(
    conversation: Conversation,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly Turn[]> {
    this.#check(options);
    if (options.limit === 0) return [];
    return this.#turns.filter((turn) => isIn(turn, conversation)).slice(-options.limit);
  }

  /** Ranks by the share of the query's words that occur in the turn. */
  async recall(
    conversation: Conversation,
    query: string,
    options: AbortOptions & { readonly limit: number },
  ): Promise<readonly RecalledTurn[]> {
    this.#check(options);
    const words = query.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
    return this.#turns
      .filter((turn) => isIn(turn, conversation))
      .map((turn) => {
        const text = `${turn.prompt}\n${turn.reply}`.toLowerCase();
        return { turn, score: words.filter((word) => text.includes(word)).length / words.length };
      })
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score)
      .slice(0, options.limit);
  }

  async forget(target: ForgetTarget, options: AbortOptions = {}): Promise<number> {
    return this.#write(options, async () => {
      const gone = this.#turns.filter((turn) => isMeant(turn, target));
      const forgotten = gone.length;
      const kept = this.#turns
        .filter((turn) => !gone.includes(turn))
        .map((turn) => this.#relink(turn, target));
      if (forgotten > 0) await this.#replace(kept);
      this.#turns = kept;
      return forgotten;
    });
  }

  async stats(): Promise<MemoryStats> {
    this.#check();
    return { turns: this.#turns.length, cacheSize: 0, pending: 0 };
  }

  async flush(): Promise<void> {
    this.#check();
    await this.#writing;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writing;
    await this.#file.close();
  }

  /** A turn that follows the forgotten one follows its parent from here on. */
  #relink(turn: Turn, target: ForgetTarget): Turn {
    const { turnId } = target;
    if (turnId === undefined || !isIn(turn, target) || turn.parentId !== turnId) return turn;
    const turns = this.#turns.filter((each) => isIn(each, target));
    const at = turns.findIndex(({ id }) => id === turnId);
    const parentId = turns[at]?.parentId ?? turns[at - 1]?.id;
    const { parentId: _, ...rest } = turn;
    return parentId === undefined ? rest : { ...rest, parentId };
  }

  /** Writes another file and renames it, so that a crash leaves either the old or the new one. */
  async #replace(turns: readonly Turn[]): Promise<void> {
    const beside = await open(`${this.#path}.new`, 'w');
    await beside.writeFile(turns.map((turn) => `${JSON.stringify(turn)}\n`).join(''));
    await beside.datasync();
    await beside.close();
    await rename(`${this.#path}.new`, this.#path);
    // The open file is the one that was replaced.
    await this.#file.close();
    this.#file = await open(this.#path, 'a');
  }

  async #write<T>(options: AbortOptions, write: () => Promise<T>): Promise<T> {
    this.#check(options);
    const result = this.#writing.then(write);
    // The caller gets a failure below; the next write only waits for this one to end.
    this.#writing = result.catch(() => undefined);
    try {
      return await result;
    } catch (cause) {
      throw new MemoryError(`The memory file ${this.#path} cannot be written: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  #check({ signal }: AbortOptions = {}): void {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new ClosedError('memory store');
  }
}

const isIn = (turn: Conversation, { sessionId, tenant }: Conversation) =>
  turn.tenant === tenant && turn.sessionId === sessionId;

function isMeant(turn: Turn, target: ForgetTarget): boolean {
  const { before, sessionId, tenant, turnId } = target;
  return (
    (tenant === undefined || turn.tenant === tenant) &&
    (sessionId === undefined || turn.sessionId === sessionId) &&
    (turnId === undefined || turn.id === turnId) &&
    (before === undefined || turn.createdAt < before.getTime())
  );
}
