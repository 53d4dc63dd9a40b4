/** `Name: text`, the form in which several speakers are told apart inside prompts. */
const speakerLabel = /^\s*(\p{Lu}[\p{L}\p{M}'’ .-]{0,40}?):\s/u;

/** Who speaks in a text that begins with a name and a colon, in lower case. */
export function speakerOf(text: string): string | undefined {
  return speakerLabel.exec(text)?.[1]?.toLowerCase();
}
