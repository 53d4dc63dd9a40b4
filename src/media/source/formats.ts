import type { MediaKind } from '../../core/media.js';

/** A format that is read here. The bytes decide which one a source has; all else is looked up here. */
export interface MediaFormat {
  readonly mimeType: string;
  /** What the source is to the user. */
  readonly kind: MediaKind;
  readonly decoder: 'sharp' | 'heif' | 'ffmpeg' | 'pdf' | 'text';
  /** The one ffmpeg demuxer that may read it, so that no crafted file is read as a playlist. */
  readonly demuxer?: string | undefined;
  /** The `formats` name of mediabunny, for containers that it indexes reliably. */
  readonly indexer?: 'MP4' | 'QTFF' | 'MATROSKA' | 'WEBM' | undefined;
  /** The type of such a container that holds sound alone. Default: the type with `audio/` for `video/`. */
  readonly soundMimeType?: string | undefined;
  /** Sound that most models take as it is. */
  readonly isCommonSound?: boolean | undefined;
}

/** A format that ffmpeg opens. */
export type ContainerFormat = MediaFormat & { readonly demuxer: string };

const isoDemuxer = 'mov,mp4,m4a,3gp,3g2,mj2';
const matroskaDemuxer = 'matroska,webm';
/** Reads the Matroska streams that are written here. */
export const demuxerOfRemux = matroskaDemuxer;

const picture = (mimeType: string, decoder: 'sharp' | 'heif' = 'sharp'): MediaFormat => ({
  ...{ mimeType, kind: 'image', decoder },
});
const clip = (
  mimeType: string,
  demuxer: string,
  more?: Pick<MediaFormat, 'indexer' | 'soundMimeType'>,
): MediaFormat => ({ mimeType, kind: 'video', decoder: 'ffmpeg', demuxer, ...more });
const sound = (mimeType: string, demuxer: string): MediaFormat => ({
  ...{ mimeType, kind: 'audio', decoder: 'ffmpeg', demuxer, isCommonSound: true },
});

export const formats = {
  jpeg: picture('image/jpeg'),
  png: picture('image/png'),
  gif: picture('image/gif'),
  webp: picture('image/webp'),
  tiff: picture('image/tiff'),
  avif: picture('image/avif'),
  bmp: picture('image/bmp'),
  heic: picture('image/heic', 'heif'),

  mp4: clip('video/mp4', isoDemuxer, { indexer: 'MP4' }),
  '3gp': clip('video/3gpp', isoDemuxer, { indexer: 'MP4' }),
  mov: clip('video/quicktime', isoDemuxer, { indexer: 'QTFF' }),
  webm: clip('video/webm', matroskaDemuxer, { indexer: 'WEBM' }),
  mkv: clip('video/x-matroska', matroskaDemuxer, { indexer: 'MATROSKA' }),
  avi: clip('video/x-msvideo', 'avi'),
  wmv: clip('video/x-ms-wmv', 'asf', { soundMimeType: 'audio/x-ms-wma' }),
  flv: clip('video/x-flv', 'flv'),
  mpegProgram: clip('video/mpeg', 'mpeg'),
  mpegVideo: clip('video/mpeg', 'mpegvideo'),
  mpegTransport: clip('video/mp2t', 'mpegts'),

  mp3: sound('audio/mp3', 'mp3'),
  wav: sound('audio/wav', 'wav'),
  aac: sound('audio/aac', 'aac'),
  flac: sound('audio/flac', 'flac'),
  ogg: sound('audio/ogg', 'ogg'),
  aiff: sound('audio/aiff', 'aiff'),
  m4a: {
    ...{ mimeType: 'audio/mp4', kind: 'audio', decoder: 'ffmpeg', demuxer: isoDemuxer, indexer: 'MP4' },
  },

  pdf: { mimeType: 'application/pdf', kind: 'document', decoder: 'pdf' },
  text: { mimeType: 'text/plain', kind: 'document', decoder: 'text' },
} as const satisfies Record<string, MediaFormat>;

export function isContainer(format: MediaFormat): format is ContainerFormat {
  return format.demuxer !== undefined;
}

/** The type of a container that turned out to hold sound alone. */
export function soundTypeOf({ kind, mimeType, soundMimeType }: MediaFormat): string {
  return kind === 'audio' ? mimeType : (soundMimeType ?? mimeType.replace(/^video\//, 'audio/'));
}

/** Demuxers are lists of aliases, of which `-f` takes any one. */
export function demuxerAlias(demuxer: string): string {
  return demuxer.split(',', 1)[0] ?? demuxer;
}
