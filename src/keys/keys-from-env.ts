import { ConfigurationError } from '../core/errors.js';
import type { KeySpec } from './key-spec.js';

const firstVariable = 'GEMINI_API_KEY';
const prefix = `${firstVariable}_`;

const bySuffix = new Intl.Collator('en', { numeric: true });

/**
 * Reads keys from `GEMINI_API_KEY` and `GEMINI_API_KEY_*` (any suffix, gaps allowed), sorted by suffix
 * with numbers in numeric order, the variable without suffix first. Ignores blank values and repeated
 * keys; does not check the format of a key.
 *
 * `GEMINI_KEY_PROJECTS` names the projects of keys: `1:alpha,2:alpha,3:beta`. Before the colon stands the
 * suffix of the variable, empty for `GEMINI_API_KEY` itself: `:alpha`.
 *
 * @throws {@link ConfigurationError} when `GEMINI_KEY_PROJECTS` is malformed or names a key that is not set.
 */
export function keysFromEnv(
  env: Readonly<Record<string, string | undefined>> = process.env,
): readonly KeySpec[] {
  const variables = Object.entries(env)
    .filter(([name]) => name === firstVariable || name.startsWith(prefix))
    .map(([name, value]) => ({ suffix: name.slice(prefix.length), key: value?.trim() ?? '' }))
    .filter(({ key }) => key !== '')
    .sort((a, b) => bySuffix.compare(a.suffix, b.suffix));
  const projects = parseProjects(env.GEMINI_KEY_PROJECTS ?? '');
  for (const suffix of projects.keys()) {
    if (!variables.some((variable) => variable.suffix === suffix)) {
      throw new ConfigurationError(
        `GEMINI_KEY_PROJECTS names key "${suffix}", but ${suffix === '' ? firstVariable : prefix + suffix} is not set.`,
      );
    }
  }
  const specs = new Map<string, KeySpec>();
  for (const { suffix, key } of variables) {
    const project = projects.get(suffix);
    const known = specs.get(key);
    // The project of a repeated key may be given for any of its variables.
    if (known === undefined || (typeof known === 'string' && project !== undefined)) {
      specs.set(key, project === undefined ? key : { key, project });
    }
  }
  return [...specs.values()];
}

function parseProjects(text: string): Map<string, string> {
  const projects = new Map<string, string>();
  for (const entry of text.split(',')) {
    if (entry.trim() === '') continue;
    const colon = entry.indexOf(':');
    const suffix = entry.slice(0, colon).trim();
    const project = entry.slice(colon + 1).trim();
    if (colon < 0 || project === '') {
      throw new ConfigurationError(
        `GEMINI_KEY_PROJECTS has the entry "${entry.trim()}", which is not of the form "suffix:project". ` +
          'Write for example 1:alpha,2:alpha,3:beta for GEMINI_API_KEY_1 to _3.',
      );
    }
    const other = projects.get(suffix);
    if (other !== undefined && other !== project) {
      throw new ConfigurationError(
        `GEMINI_KEY_PROJECTS puts key "${suffix}" into two projects, "${other}" and "${project}".`,
      );
    }
    projects.set(suffix, project);
  }
  return projects;
}
