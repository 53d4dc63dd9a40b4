/** `Name: text`, the form of prompts with several speakers. */
const speakerLabel = /^\s*(\p{Lu}[\p{L}\p{M}'’ .-]{0,40}?):\s/u;

/** The speaker of a text that begins with a name and a colon, in lower case. */
export function speakerOf(text: string): string | undefined {
  return speakerLabel.exec(text)?.[1]?.toLowerCase();
}
