import { JsonObjects } from './json-objects.js';

/** One server-sent event. */
export interface StreamEvent {
  /** `message` unless the stream names another. */
  readonly name: string;
  readonly data: string;
}

/** A line that says nothing: a comment, such as a proxy's keep-alive, or a field of the stream itself. */
const isIdle = (line: string) => /^(?::|id:|retry:|$)/.test(line);
/** Enough of a line to know what it is. */
const headLength = 6;

/**
 * Decodes a stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
 * from chunks of any size. Beyond a plain decoder it reads what Gemini and proxies send: a last event
 * without its empty line, and JSON objects outside of events (a bare error after the events, a reply that
 * is one object, a list, or one object a line). Other text outside of events is kept as `other`.
 */
export class EventStreamDecoder {
  readonly #decoder = new TextDecoder();
  readonly #unframed = new JsonObjects();
  /** The beginning of a line that has not ended yet. */
  #partialLine = '';
  /** The first characters of that line: looking at the line itself would copy megabytes with each chunk. */
  #partialHead = '';
  #endsLikeObject = false;
  #endedWithCr = false;
  #name = '';
  #data: string | undefined;
  #hasProgress = false;

  /** Text that belongs to no event and no JSON object. */
  get other(): string {
    return this.#unframed.other;
  }

  /** Whether JSON outside of events has begun and not ended. */
  get isInsideObject(): boolean {
    return this.#unframed.isInside;
  }

  /** The data of an event that looks complete although its end mark is still to come. */
  get pendingData(): string | undefined {
    if (!this.#endsLikeObject) return undefined;
    const line = /^data: ?([\s\S]*)$/.exec(this.#partialLine)?.[1];
    return this.#data === undefined ? line : `${this.#data}\n${line ?? ''}`;
  }

  /** Whether the last `push` brought more than comments. */
  get hasProgress(): boolean {
    return this.#hasProgress;
  }

  /** The events that end in this chunk. */
  push(chunk: Uint8Array): readonly StreamEvent[] {
    return this.#read(this.#decoder.decode(chunk, { stream: true }));
  }

  /** The last event, if the stream ended without an empty line. */
  end(): readonly StreamEvent[] {
    return this.#read(`${this.#decoder.decode()}\n\n`);
  }

  #read(text: string): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    // The second half of a CRLF is no empty line.
    let start = this.#endedWithCr && text.startsWith('\n') ? 1 : 0;
    if (text !== '') this.#endedWithCr = text.endsWith('\r');
    this.#hasProgress = false;
    // Only the new text is searched, once for each kind of line end: a line of megabytes stays linear.
    let lf = text.indexOf('\n', start);
    let cr = text.indexOf('\r', start);
    while (lf !== -1 || cr !== -1) {
      const end = lf === -1 || (cr !== -1 && cr < lf) ? cr : lf;
      const line = this.#partialLine + text.slice(start, end);
      this.#partialLine = '';
      this.#partialHead = '';
      start = end + (end === cr && lf === end + 1 ? 2 : 1);
      if (lf !== -1 && lf < start) lf = text.indexOf('\n', start);
      if (cr !== -1 && cr < start) cr = text.indexOf('\r', start);
      this.#readLine(line, events);
    }
    this.#readPartial(text.slice(start), events);
    this.#endsLikeObject = /\}\s*$/.test(text.slice(-headLength));
    return events;
  }

  #readPartial(text: string, events: StreamEvent[]): void {
    if (text === '') return;
    if (this.#partialHead.length < headLength) this.#partialHead += text.slice(0, headLength);
    if (!isIdle(this.#partialHead)) this.#hasProgress = true;
    // No field begins like this, and a list in one line may have no end.
    if (this.isInsideObject || /^\s*[[{,\]]/.test(this.#partialHead)) {
      this.#partialHead = '';
      this.#readUnframed(text, events);
    } else this.#partialLine += text;
  }

  #readLine(line: string, events: StreamEvent[]): void {
    if (!isIdle(line)) this.#hasProgress = true;
    if (this.isInsideObject) this.#readUnframed(`${line}\n`, events);
    else if (line === '') {
      this.#endEvent(events);
    } else if (line.startsWith('data:')) {
      // Some gateways put their own `data:` before the one they were sent.
      const value = line.replace(/^(?:data: ?)+/, '');
      // Others leave out the empty line. No JSON has an object right after another.
      if (value.startsWith('{') && this.#data?.endsWith('}')) this.#endEvent(events);
      this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    } else if (line.startsWith('event:')) {
      this.#name = line.slice(6).trim();
    } else if (!isIdle(line)) {
      this.#readUnframed(`${line}\n`, events);
    }
  }

  #endEvent(events: StreamEvent[]): void {
    if (this.#data !== undefined) events.push({ name: this.#name || 'message', data: this.#data });
    this.#name = '';
    this.#data = undefined;
  }

  #readUnframed(text: string, events: StreamEvent[]): void {
    for (const data of this.#unframed.push(text)) events.push({ name: 'message', data });
  }
}
