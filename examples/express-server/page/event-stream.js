// Server-sent events over fetch: EventSource can only GET, and an upload is a POST.

/** Parses an event stream from chunks of any size into `{ event, data }`. */
export function createEventParser(onEvent) {
  let rest = '';
  let event = '';
  let data = [];
  const readLine = (line) => {
    if (line === '') {
      if (data.length > 0) onEvent({ event: event || 'message', data: data.join('\n') });
      event = '';
      data = [];
      return;
    }
    const colon = line.indexOf(':');
    // A line that starts with a colon is a comment, which keeps the connection alive.
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    if (field === 'data') data.push(value);
  };
  return (piece) => {
    rest += piece;
    // A carriage return at the very end may be half of a line break.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) readLine(line);
  };
}

/** Reads a streamed response to its end. */
export async function readEventStream(response, onEvent) {
  const parse = createEventParser(onEvent);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parse(value);
  }
}
