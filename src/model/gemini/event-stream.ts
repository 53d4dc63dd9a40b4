/** One server-sent event. */
export interface StreamEvent {
  /** `message` unless the stream names another. */
  readonly name: string;
  readonly data: string;
}

/**
 * Decodes a stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
 * from chunks of any size. Keeps two things that a plain decoder drops, because Gemini and proxies send
 * them: a last event without its empty line, and text outside of events (`unframed`: a bare JSON error after
 * the events, a whole JSON reply, an HTML page).
 */
export class EventStreamDecoder {
  readonly #decoder = new TextDecoder();
  /** The beginning of a line that has not ended yet. */
  #partialLine = '';
  #name = '';
  #data: string | undefined;
  #unframed = '';

  /** Text outside of any event so far. */
  get unframed(): string {
    return this.#unframed;
  }

  /** The events that end in this chunk. */
  push(chunk: Uint8Array): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    this.#read(this.#decoder.decode(chunk, { stream: true }), events);
    return events;
  }

  /** The last event, if the stream ended without an empty line. */
  end(): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    this.#read(`${this.#decoder.decode()}\n\n`, events);
    return events;
  }

  #read(text: string, events: StreamEvent[]): void {
    let start = 0;
    // Only the new text is searched: a line of megabytes stays linear.
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const line = this.#partialLine + text.slice(start, end);
      this.#partialLine = '';
      start = end + 1;
      this.#readLine(line.endsWith('\r') ? line.slice(0, -1) : line, events);
    }
    this.#partialLine += text.slice(start);
  }

  #readLine(line: string, events: StreamEvent[]): void {
    if (line === '') {
      if (this.#data !== undefined) events.push({ name: this.#name || 'message', data: this.#data });
      this.#name = '';
      this.#data = undefined;
    } else if (line.startsWith('data:')) {
      const value = line.slice(line[5] === ' ' ? 6 : 5);
      this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    } else if (line.startsWith('event:')) {
      this.#name = line.slice(6).trim();
    } else if (!/^(?::|id:|retry:)/.test(line)) {
      this.#unframed += `${line}\n`;
    }
  }
}
