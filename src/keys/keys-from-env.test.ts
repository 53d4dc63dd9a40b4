import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../core/errors.js';
import { keysFromEnv } from './keys-from-env.js';

describe('keysFromEnv', () => {
  it.each<[string, Record<string, string | undefined>, ReturnType<typeof keysFromEnv>]>([
    ['finds no key in an empty environment', {}, []],
    ['reads the variable without suffix', { GEMINI_API_KEY: 'one' }, ['one']],
    [
      'sorts suffixes in numeric order, with gaps, the variable without suffix first',
      {
        GEMINI_API_KEY_10: 'ten',
        GEMINI_API_KEY_2: 'two',
        GEMINI_API_KEY: 'bare',
        GEMINI_API_KEY_7: 'seven',
      },
      ['bare', 'two', 'seven', 'ten'],
    ],
    ['reads any suffix', { GEMINI_API_KEY_BACKUP: 'b', GEMINI_API_KEY_MAIN_EU: 'm' }, ['b', 'm']],
    ['ignores blanks', { GEMINI_API_KEY: '', GEMINI_API_KEY_1: '  ', GEMINI_API_KEY_2: ' k ' }, ['k']],
    ['drops duplicates', { GEMINI_API_KEY: 'same', GEMINI_API_KEY_1: 'same' }, ['same']],
    [
      'ignores variables with similar names',
      { GEMINI_API_KEYS: 'x', MY_GEMINI_API_KEY: 'y', GOOGLE_API_KEY: 'z', GEMINI_API_KEY_1: 'k' },
      ['k'],
    ],
    [
      'assigns keys to their projects',
      {
        GEMINI_API_KEY: 'bare',
        GEMINI_API_KEY_1: 'one',
        GEMINI_API_KEY_B: 'b',
        GEMINI_KEY_PROJECTS: ' 1:alpha , B:beta ,:alpha,',
      },
      [
        { key: 'bare', project: 'alpha' },
        { key: 'one', project: 'alpha' },
        { key: 'b', project: 'beta' },
      ],
    ],
    [
      'finds the project of a repeated key on any of its variables',
      { GEMINI_API_KEY: 'same', GEMINI_API_KEY_1: 'same', GEMINI_KEY_PROJECTS: '1:alpha' },
      [{ key: 'same', project: 'alpha' }],
    ],
    [
      'allows colons in the name of a project',
      { GEMINI_API_KEY_1: 'k', GEMINI_KEY_PROJECTS: '1:org:a' },
      [{ key: 'k', project: 'org:a' }],
    ],
  ])('%s', (_, env, expected) => {
    expect(keysFromEnv(env)).toEqual(expected);
  });

  it.each([
    ['without a colon', '1=alpha', /"1=alpha".*suffix:project/],
    ['without a project', '1:', /"1:".*suffix:project/],
    ['for a key that is not set', '2:alpha', /GEMINI_API_KEY_2 is not set/],
    ['with two projects for one key', '1:alpha,1:beta', /two projects, "alpha" and "beta"/],
  ])('rejects GEMINI_KEY_PROJECTS %s', (_, projects, message) => {
    const read = () => keysFromEnv({ GEMINI_API_KEY_1: 'k', GEMINI_KEY_PROJECTS: projects });
    expect(read).toThrow(ConfigurationError);
    expect(read).toThrow(message);
  });
});
