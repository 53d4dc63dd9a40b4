// What an answer holds beside its text, from events, from the whole answer and from stored messages.

export const noPieces = () => ({
  files: [],
  code: [],
  tools: [],
  sources: [],
  searches: [],
  ending: undefined,
});

/** Adds an event or a stored part. Returns the list that has changed; undefined if the type is another. */
export function addPiece(pieces, type, data) {
  switch (type) {
    case 'file':
      pieces.files.push(readFile(data));
      return 'files';
    case 'code':
      pieces.code.push({ language: data.language, code: data.code, result: data.result });
      return 'code';
    case 'code-result': {
      const last = pieces.code.at(-1);
      if (last && !last.result) last.result = data;
      return 'code';
    }
    case 'tool-call':
      pieces.tools.push({ id: data.call_id, name: data.name, input: data.input });
      return 'tools';
    case 'tool-result': {
      const call = pieces.tools.find(({ id, result }) => id === data.call_id && !result);
      if (call) call.result = readResult(data);
      return 'tools';
    }
    case 'source':
      pieces.sources.push(data);
      return 'sources';
    default:
      return undefined;
  }
}

/** The pieces of a stored turn. */
export function readStoredPieces(messages) {
  const pieces = noPieces();
  for (const { parts } of messages) for (const part of parts) addPiece(pieces, part.type, part);
  for (const message of messages) addInfo(pieces, message);
  return pieces;
}

/** The pieces of a finished answer. */
export function readPieces(reply) {
  const pieces = noPieces();
  const lists = {
    file: 'files',
    code: 'code',
    'tool-call': 'tool_calls',
    'tool-result': 'tool_results',
    source: 'sources',
  };
  for (const [type, list] of Object.entries(lists))
    for (const piece of reply[list] ?? []) addPiece(pieces, type, piece);
  addInfo(pieces, reply);
  return pieces;
}

function addInfo(pieces, info) {
  if (info.search_suggestions) pieces.searches.push(info.search_suggestions);
  pieces.ending = readEnding(info) ?? pieces.ending;
}

const readFile = ({ name, mime_type: mimeType, bytes, fingerprint, data }) => ({
  name: name ?? 'file',
  kind: mimeType.split('/')[0].toLowerCase(),
  mimeType,
  bytes,
  fingerprint,
  data,
});

const readResult = (result) => ({
  output: result.output,
  isError: result.is_error === true,
  media: (result.media ?? []).map(({ kind, name }) => ({ kind, name })),
});

/** What to say about an answer that did not end as it should. */
export function readEnding(info) {
  const { finish_reason: reason, raw_finish_reason: raw, finish_message: message } = info;
  const isCut = reason === 'max-tokens' || /^(max_tokens|length)$/i.test(raw ?? '');
  // Stored turns have the provider's own word only.
  const isOdd = reason === 'unknown' || (reason === undefined && raw && !/^(stop|end_turn)$/i.test(raw));
  if (!isCut && !isOdd && !message) return undefined;
  const sentences = [
    isCut && 'The answer was cut off at the limit of output tokens.',
    !isCut && isOdd && `The answer ended for an unusual reason${raw ? ` (${raw})` : ''}.`,
    message,
    describeRatings(info.safety_ratings ?? []),
  ];
  return sentences.filter(Boolean).join(' ');
}

/** `HARM_CATEGORY_HATE_SPEECH` -> `hate speech` */
const inWords = (name) =>
  name
    .replace(/^HARM_CATEGORY_/, '')
    .replaceAll('_', ' ')
    .toLowerCase();

function describeRatings(ratings) {
  const notable = ratings.filter(
    ({ blocked, probability }) => blocked || !/^(negligible|low)$/i.test(probability),
  );
  if (notable.length === 0) return undefined;
  const words = notable.map(({ category, probability }) => `${inWords(category)} (${inWords(probability)})`);
  return `Safety ratings: ${words.join(', ')}.`;
}
