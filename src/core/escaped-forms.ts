const hexadecimal = (code: number, digits: number) => code.toString(16).padStart(digits, '0');

const htmlNames: Readonly<Record<string, string>> = {
  '"': 'quot',
  '&': 'amp',
  "'": 'apos',
  '<': 'lt',
  '>': 'gt',
};

/** Pattern source for one special character: plain, or escaped once or more for a URL, JSON or HTML. */
function formsOfSpecial(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const name = htmlNames[character];
  const forms = [
    [...Buffer.from(character)].map((byte) => `%(?:25)*${hexadecimal(byte, 2)}`).join(''),
    Array.from(character.split(''), (unit) => `\\\\+u${hexadecimal(unit.charCodeAt(0), 4)}`).join(''),
    // JSON puts one backslash before it, JSON in JSON three.
    character === '\\' ? '\\\\' : `\\\\*${character.replace(/[\^$*+?.()|[\]{}/-]/, '\\$&')}`,
    `&(?:amp;)*#(?:0*${code}|x0*${hexadecimal(code, 1)});`,
    ...(name === undefined ? [] : [`&(?:amp;)*${name};`]),
    ...(character === ' ' ? ['\\+'] : []),
  ];
  return `(?:${forms.join('|')})`;
}

/**
 * Pattern source, for use with the `i` flag, that matches a text however a server or proxy may echo it:
 * plain, or escaped for a URL, JSON or HTML, also one inside another.
 */
export function escapedForms(text: string): string {
  return text.replace(/\\+|[^A-Za-z0-9]/gu, (special) =>
    special.startsWith('\\') ? `${formsOfSpecial('\\')}+` : formsOfSpecial(special),
  );
}
