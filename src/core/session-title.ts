const longestTitle = 120;

/** The beginning of a prompt as the title of its conversation: one line. */
export function titleOf(prompt: string): string {
  const line = prompt
    .slice(0, longestTitle * 10)
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim();
  if (line.length <= longestTitle) return line;
  // Not in the middle of a surrogate pair.
  return `${line.slice(0, longestTitle - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
