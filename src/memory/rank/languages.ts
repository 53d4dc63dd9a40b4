import { stemmer as danishStem } from '@orama/stemmers/danish';
import { stemmer as dutchStem } from '@orama/stemmers/dutch';
import { stemmer as englishStem } from '@orama/stemmers/english';
import { stemmer as finnishStem } from '@orama/stemmers/finnish';
import { stemmer as frenchStem } from '@orama/stemmers/french';
import { stemmer as germanStem } from '@orama/stemmers/german';
import { stemmer as italianStem } from '@orama/stemmers/italian';
import { stemmer as norwegianStem } from '@orama/stemmers/norwegian';
import { stemmer as portugueseStem } from '@orama/stemmers/portuguese';
import { stemmer as russianStem } from '@orama/stemmers/russian';
import { stemmer as spanishStem } from '@orama/stemmers/spanish';
import { stemmer as swedishStem } from '@orama/stemmers/swedish';
import { stopwords as danishStopWords } from '@orama/stopwords/danish';
import { stopwords as dutchStopWords } from '@orama/stopwords/dutch';
import { stopwords as englishStopWords } from '@orama/stopwords/english';
import { stopwords as finnishStopWords } from '@orama/stopwords/finnish';
import { stopwords as frenchStopWords } from '@orama/stopwords/french';
import { stopwords as germanStopWords } from '@orama/stopwords/german';
import { stopwords as italianStopWords } from '@orama/stopwords/italian';
import { stopwords as norwegianStopWords } from '@orama/stopwords/norwegian';
import { stopwords as portugueseStopWords } from '@orama/stopwords/portuguese';
import { stopwords as russianStopWords } from '@orama/stopwords/russian';
import { stopwords as spanishStopWords } from '@orama/stopwords/spanish';
import { stopwords as swedishStopWords } from '@orama/stopwords/swedish';
import { splitWords } from './words.js';

/** What the ranking knows of a language. */
export interface Language {
  readonly name: string;
  /** The part of a word that its forms share: `paint` for `painting` and `painted`. */
  stem(word: string): string;
  /** Stop words: they structure a sentence and carry no topic. Folded like indexed words. */
  readonly stopWords: ReadonlySet<string>;
}

/** The scripts below Armenian are those of the languages here. Digits at the end leave nothing to stem. */
const firstForeign = 0x0530;
const lastDigit = 57;

/** Whether another word may have the same stem. */
export const hasForms = (word: string): boolean => {
  const last = word.charCodeAt(word.length - 1);
  return last > lastDigit && last < firstForeign;
};

const language = (name: string, stem: (word: string) => string, stopWords: readonly string[]): Language => ({
  name,
  stem: (word) => {
    if (!hasForms(word)) return word;
    const stemmed = stem(word);
    return hasForms(stemmed) ? stemmed : word;
  },
  stopWords: new Set(stopWords.flatMap(splitWords)),
});

/** In the order in which ties are decided. */
export const languages: readonly Language[] = [
  language('english', englishStem, englishStopWords),
  language('german', germanStem, germanStopWords),
  language('french', frenchStem, frenchStopWords),
  language('spanish', spanishStem, spanishStopWords),
  language('italian', italianStem, italianStopWords),
  language('portuguese', portugueseStem, portugueseStopWords),
  language('dutch', dutchStem, dutchStopWords),
  language('swedish', swedishStem, swedishStopWords),
  language('danish', danishStem, danishStopWords),
  language('norwegian', norwegianStem, norwegianStopWords),
  language('finnish', finnishStem, finnishStopWords),
  language('russian', russianStem, russianStopWords),
];

/** The language of most hits; undefined without hits. */
export function detectLanguage(countHits: (language: Language) => number): Language | undefined {
  let best: Language | undefined;
  let most = 0;
  for (const candidate of languages) {
    const hits = countHits(candidate);
    if (hits > most) {
      most = hits;
      best = candidate;
    }
  }
  return best;
}
