/** Fields of replies that version 0.2 renamed, with their former names. To be removed in version 0.3. */
const formerNames: Readonly<Record<string, string>> = {
  reattached_media: 'shown_again',
  stored: 'remembered',
  summarized_turns: 'summarised_turns',
};

/** Adds each renamed field under its former name too, for clients written for the version before. */
export function withFormerNames(body: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const aliases = Object.entries(formerNames).flatMap(([name, former]) =>
    name in body ? [[former, body[name]]] : [],
  );
  return { ...body, ...Object.fromEntries(aliases) };
}
