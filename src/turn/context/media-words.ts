import type { MediaKind } from '../../core/media.js';

/**
 * Words for attachments, in widely used languages. A prompt in another language still finds attachments
 * by their names and by recalled turns.
 */
const kindWords: Readonly<Record<MediaKind, string>> = {
  image:
    'picture photo photograph image screenshot drawing painting scan | bild foto bildschirmfoto zeichnung | image photo dessin capture | imagen foto dibujo captura | immagine foto | imagem foto | картинка фото изображение | 图片 照片 图像 画像 写真 사진 이미지',
  video:
    'clip video film movie footage recording frame scene | clip video film aufnahme szene | clip vidéo film scène | clip vídeo video película escena | filmato scena | vídeo filme cena | видео клип ролик | 视频 片段 影片 動画 映像 비디오 동영상',
  audio:
    'recording audio song voice sound podcast | aufnahme ton lied stimme | enregistrement son chanson voix | grabación sonido canción voz | registrazione suono | gravação som | запись звук песня | 录音 音频 声音 音声 録音 오디오 녹음',
  document:
    'document pdf file page paper report contract invoice | dokument datei seite bericht vertrag rechnung | document fichier rapport contrat facture | documento archivo informe contrato factura | documento fattura | documento relatório | документ файл | 文件 文档 書類 文書 문서',
};

/** Each entry is a position among the attachments, from the first one. */
const ordinalWords: readonly string[] = [
  'first 1st erste ersten erstes premier première primer primera primo prima primeiro первый первая первое 第一 最初 첫',
  'second 2nd zweite zweiten zweites deuxième seconde segundo segunda secondo второй вторая второе 第二 二番目 두번째',
  'third 3rd dritte dritten drittes troisième tercer tercera terzo terceiro третий третья третье 第三 三番目 세번째',
  'fourth 4th vierte vierten viertes quatrième cuarto cuarta quarto четвёртый четвертый 第四 四番目',
  'fifth 5th fünfte fünften fünftes cinquième quinto quinta пятый 第五 五番目',
];
const lastWords =
  'last latest previous letzte letzten letztes dernier dernière último última ultimo последний последняя последнее 最后 最後 마지막';
const soundWords =
  'sound audio hear heard say says said speak speaks voice music song ton hören sagt stimme musik son entendre voix musique sonido oír voz música звук слышно голос музыка 声音 听 音 聞こえ 소리';

const split = (words: string) => words.split(/[\s|]+/).filter((word) => word !== '');

/** Words of scripts without spaces are searched as substrings, the others word by word, plurals included. */
const isUnspaced = (word: string) => /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/.test(word);

class WordList {
  readonly #words: ReadonlySet<string>;
  readonly #unspaced: readonly string[];

  constructor(words: string) {
    const all = split(words);
    this.#unspaced = all.filter(isUnspaced);
    this.#words = new Set(
      all
        .filter((word) => !isUnspaced(word))
        .flatMap((word) => [word, `${word}s`, `${word}e`, `${word}es`, `${word}n`]),
    );
  }

  isIn(text: PromptWords): boolean {
    return (
      text.words.some((word) => this.#words.has(word)) ||
      this.#unspaced.some((word) => text.lower.includes(word))
    );
  }
}

interface PromptWords {
  readonly lower: string;
  readonly words: readonly string[];
}

const kinds = Object.entries(kindWords).map(
  ([kind, words]) => [kind as MediaKind, new WordList(words)] as const,
);
const ordinals = ordinalWords.map((words) => new WordList(words));
const last = new WordList(lastWords);
const sound = new WordList(soundWords);

/** What a prompt says about attachments. */
export interface MediaReference {
  /** Kinds that it mentions. */
  readonly kinds: ReadonlySet<MediaKind>;
  /** The position that it refers to, 0 for the first and -1 for the last; undefined if it names none. */
  readonly place: number | undefined;
  /** Whether it asks about sound. */
  readonly asksForSound: boolean;
  names(name: string): boolean;
}

/** Shorter names occur in too many texts by chance. */
const shortestName = 3;

export function readReference(prompt: string): MediaReference {
  const lower = prompt.normalize('NFC').toLowerCase();
  const text: PromptWords = { lower, words: lower.match(/[\p{L}\p{N}]+/gu) ?? [] };
  const place = ordinals.findIndex((words) => words.isIn(text));
  return {
    kinds: new Set(kinds.filter(([, words]) => words.isIn(text)).map(([kind]) => kind)),
    place: place >= 0 ? place : last.isIn(text) ? -1 : undefined,
    asksForSound: sound.isIn(text),
    names: (name) => {
      const full = name.normalize('NFC').toLowerCase();
      const stem = full.replace(/\.[^.]*$/, '');
      return (
        lower.includes(full) || (stem.length >= shortestName && text.words.join(' ').includes(wordsOf(stem)))
      );
    },
  };
}

const wordsOf = (text: string) => (text.match(/[\p{L}\p{N}]+/gu) ?? []).join(' ');
