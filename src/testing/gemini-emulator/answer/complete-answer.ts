import type { RecordedCall } from '../journal/recorded-call.js';
import { emulatedModel } from '../models/emulated-models.js';
import type { WireGenerateRequest, WirePart, WireTool } from '../wire/messages.js';
import type { WireGroundingMetadata, WireUrlContextMetadata } from '../wire/metadata.js';
import { codeParts, type EmulatedSource, groundingOf, picturePart, tonePart } from './answer-parts.js';
import { promptOf } from './describe-call.js';
import type { EmulatedAnswer } from './emulated-answer.js';

/** Input that one built-in tool adds. */
const tokensPerTool = 120;

/** Adds to a text what the request asks for beside it: code, sources, a picture, sound. All is made up. */
export function completeAnswer(text: string, call: RecordedCall): EmulatedAnswer {
  const request = (call.body ?? {}) as WireGenerateRequest;
  const { generationConfig = {} } = request;
  const prompt = promptOf(call.contents.at(-1)) ?? '';
  const modalities = generationConfig.responseModalities ?? emulatedModel(call.model)?.modalities ?? ['TEXT'];
  // Gemini silently leaves its tools off if JSON is asked for.
  const isJson = generationConfig.responseMimeType === 'application/json';
  const tools: WireTool = isJson ? {} : Object.assign({}, ...(request.tools ?? []));
  const parts: (string | WirePart)[] = tools.codeExecution ? [...countWithCode(prompt)] : [];
  if (modalities.includes('TEXT')) parts.push(text);
  if (modalities.includes('IMAGE')) parts.push(picturePart(prompt, sizeOf(generationConfig.imageConfig)));
  if (modalities.includes('AUDIO')) parts.push(tonePart({ hertz: 220 + (prompt.length % 660) }));
  const used = Object.keys(tools).filter((name) => name !== 'functionDeclarations').length;
  const groundingMetadata = modalities.includes('TEXT') ? groundWith(tools, text, prompt) : undefined;
  const urlContextMetadata = tools.urlContext ? readUrls(prompt) : undefined;
  return {
    parts,
    candidate: {
      ...(groundingMetadata && { groundingMetadata }),
      ...(urlContextMetadata && { urlContextMetadata }),
    },
    ...(used > 0 && { usage: { toolUsePromptTokenCount: used * tokensPerTool } }),
  };
}

const countWithCode = (prompt: string) =>
  codeParts(`prompt = ${JSON.stringify(prompt)}\nprint(len(prompt))\n`, `${[...prompt].length}\n`);

function groundWith(tools: WireTool, text: string, prompt: string): WireGroundingMetadata | undefined {
  const sources = [...sourcesOf(tools, prompt)];
  if (sources.length === 0) return undefined;
  const [firstLine = text] = text.split('\n');
  const supported =
    firstLine === '' ? sources : sources.map((source) => ({ ...source, supports: [firstLine] }));
  return {
    ...groundingOf(text, supported),
    ...(tools.googleSearch !== undefined && searchSuggestions(prompt)),
    ...(tools.googleMaps?.enableWidget && { googleMapsWidgetContextToken: 'widgetcontent/emulated' }),
  };
}

function* sourcesOf(tools: WireTool, prompt: string): Iterable<EmulatedSource> {
  const topic = encodeURIComponent(shorten(prompt, 40));
  if (tools.googleSearch) {
    yield { chunk: { web: { uri: `https://example.com/search?q=${topic}`, title: 'example.com' } } };
    yield { chunk: { web: { uri: `https://example.org/wiki/${topic}`, title: 'example.org' } } };
  }
  for (const uri of tools.urlContext ? urlsIn(prompt) : [])
    yield { chunk: { web: { uri, title: new URL(uri).hostname } } };
  if (tools.googleMaps) {
    const uri = 'https://maps.google.com/?cid=1234567890';
    const text = 'A place of the emulator, which does not exist.';
    yield { chunk: { maps: { uri, title: 'Emulated Café', text, placeId: 'places/emulated-cafe' } } };
  }
  for (const fileSearchStore of tools.fileSearch?.fileSearchStoreNames ?? []) {
    const text = `What ${fileSearchStore} says about: ${shorten(prompt, 80)}`;
    yield {
      chunk: { retrievedContext: { title: 'emulated-notes.pdf', text, fileSearchStore, pageNumber: 1 } },
    };
  }
}

function searchSuggestions(prompt: string): WireGroundingMetadata {
  const query = shorten(prompt, 60);
  const href = `https://www.google.com/search?q=${encodeURIComponent(query)}`;
  const label = query.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
  const renderedContent =
    '<style>.container{font-family:sans-serif}.chip{border:1px solid #ccc;border-radius:1em;padding:.3em 1em}</style>\n' +
    `<div class="container"><a class="chip" href="${href}">${label}</a></div>\n`;
  return { webSearchQueries: [query], searchEntryPoint: { renderedContent } };
}

/** On one line, without halves of characters. */
const shorten = (text: string, maxCharacters: number) =>
  Buffer.from([...text.replace(/\s+/g, ' ').trim()].slice(0, maxCharacters).join('')).toString();

const urlsIn = (prompt: string) =>
  (prompt.match(/https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)]/g) ?? []).filter((url) => URL.canParse(url));

function readUrls(prompt: string): WireUrlContextMetadata | undefined {
  const urlMetadata = urlsIn(prompt).map((retrievedUrl) => ({
    retrievedUrl,
    urlRetrievalStatus: 'URL_RETRIEVAL_STATUS_SUCCESS',
  }));
  return urlMetadata.length > 0 ? { urlMetadata } : undefined;
}

/** Width and height by `imageConfig`; by default 1K, square. */
function sizeOf({ aspectRatio, imageSize = '1K' }: { aspectRatio?: string; imageSize?: string } = {}) {
  const [, across = '1', down = '1'] = /^([1-9]\d?):([1-9]\d?)$/.exec(aspectRatio ?? '') ?? [];
  const side = { '2K': 2048, '4K': 4096 }[imageSize] ?? 1024;
  const scale = side / Math.sqrt(Number(across) * Number(down));
  return { width: Math.round(Number(across) * scale), height: Math.round(Number(down) * scale) };
}
