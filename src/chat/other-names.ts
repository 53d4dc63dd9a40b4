/** What other libraries call an option, in lower case, with its name here. */
type OtherNames = Readonly<Record<string, string>>;

const named = (meant: string, ...names: readonly string[]): OtherNames =>
  Object.fromEntries(names.map((name) => [name, meant]));

const shared: OtherNames = {
  ...named('`systemInstruction`', 'system', 'systemprompt', 'systemmessage', 'instructions'),
  ...named('`generation`', 'temperature', 'topp', 'topk', 'seed'),
  ...named('`generation.maxOutputTokens`', 'maxtokens', 'maxoutputtokens', 'maxcompletiontokens'),
};

/** Of the options of a chat. */
export const optionsElsewhere: OtherNames = {
  ...shared,
  ...named('`keys`', 'apikey', 'apikeys', 'key'),
  ...named('`model` and `fallbackModels`', 'models', 'fallbackmodel', 'fallback'),
  ...named('`retry`', 'maxretries', 'retries'),
  ...named('`timeouts.callMs`', 'timeout', 'timeoutms'),
  ...named('`memory`', 'store', 'storage'),
  ...named('the `signal` of a call', 'signal', 'abortsignal'),
  ...named('the `prompt` and `history` of a call', 'prompt', 'messages', 'history'),
  ...named('the `sessionId` of a call', 'sessionid'),
  ...named('the `tenant` of a call', 'tenant'),
  ...named('the `output` of a call', 'output', 'schema', 'responseformat', 'responseschema'),
};

/** Of the fields of a call. */
export const requestElsewhere: OtherNames = {
  ...shared,
  ...named('`prompt`', 'text', 'message', 'content', 'contents', 'input', 'question', 'query'),
  ...named('`history` for the earlier messages and `prompt` for the new one', 'messages'),
  ...named('`media`', 'image', 'images', 'video', 'audio', 'file', 'files', 'attachment', 'attachments'),
  ...named('`signal`', 'abortsignal'),
  ...named('`timeoutMs`', 'timeout'),
  ...named('`sessionId`', 'conversationid', 'chatid'),
  ...named('`tenant`', 'user', 'userid'),
  ...named('`output`', 'schema', 'responseformat', 'responseschema', 'outputschema', 'responsejsonschema'),
  ...named('the `keys` of the chat', 'apikey'),
};
