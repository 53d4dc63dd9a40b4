import { describe, expect, it } from 'vitest';
import { parseProbe } from './probe.js';

const separator = ' <f00d> ';

/** The description with the separator that ffmpeg was told to use between the fields of a stream. */
const parse = (log: string, demuxer?: string) =>
  parseProbe(
    log.replace(/^( {2,4}Stream #0:\d+(?:\[\w+\])?(?:\(und\))?: [^\n]*?), /gm, `$1${separator}`),
    separator,
    demuxer,
  );

/** As FFmpeg 5.1 writes it. */
const phone = `Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:clip.mov':
  Metadata:
    major_brand     : qt
    title           : Stream #0:9: Video: fake, 1x1
  Duration: 01:02:03.50, start: 0.000000, bitrate: 4012 kb/s
  Stream #0:0[0x1](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, mono, fltp, 96 kb/s (default)
  Stream #0:1[0x2](und): Video: hevc (Main) (hvc1 / 0x31637668), yuv420p(tv, bt709, progressive), 1920x1080 [SAR 1:1 DAR 16:9], 3900 kb/s, 29.97 fps, 30 tbr, 600 tbn (default)
    Metadata:
      handler_name    : Core Media Video
    Side data:
      displaymatrix: rotation of -90.00 degrees
`;

/** As the build of 2018 writes it. */
const disc = `Input #0, mpeg, from 'file:old.mpg':
  Duration: N/A, start: 0.540000, bitrate: N/A
    Stream #0:0[0x1e0]: Video: mpeg2video (Main), yuv420p(tv), 720x576 [SAR 64:45 DAR 16:9], 25 fps, 25 tbr, 90k tbn, 50 tbc
`;

const song = `Input #0, mp3, from 'file:song.mp3':
  Duration: 00:03:20.04, start: 0.025057, bitrate: 192 kb/s
    Stream #0:0: Audio: mp3, 44100 Hz, stereo, fltp, 192 kb/s
    Stream #0:1: Video: mjpeg (Baseline), yuvj420p(pc, bt470bg/unknown/unknown), 500x500 [SAR 72:72 DAR 1:1], 90k tbr, 90k tbn (attached pic)
`;

describe('parseProbe', () => {
  it('reads the streams of a rotated clip', () => {
    expect(parse(phone)).toEqual({
      durationMs: 3_723_500,
      audio: { index: 0, codec: 'aac' },
      video: {
        index: 1,
        codec: 'hevc',
        width: 1920,
        height: 1080,
        fps: 29.97,
        colors: { matrix: undefined },
        sampleAspectRatio: 1,
        turned: true,
      },
    });
  });

  it('reads pixels that are not square, and leaves missing fields undefined', () => {
    const { durationMs, audio, video } = parse(disc);
    expect([durationMs, audio]).toEqual([undefined, undefined]);
    expect(video).toMatchObject({
      codec: 'mpeg2video',
      width: 720,
      height: 576,
      colors: { matrix: undefined },
      turned: false,
    });
    expect(video?.sampleAspectRatio).toBeCloseTo(64 / 45);
  });

  it.each([
    [
      'yuv420p10le(tv, bt2020nc/bt2020/smpte2084, progressive)',
      { wide: { transfer: 'pq', primaries: 'bt2020' } },
    ],
    ['yuv420p10le(tv, bt2020nc/bt2020/arib-std-b67)', { wide: { transfer: 'hlg', primaries: 'bt2020' } }],
    ['yuv420p10le(tv, bt2020nc/bt2020/bt2020-10)', { wide: { transfer: 'sdr', primaries: 'bt2020' } }],
    [
      'yuv420p10le(tv, unknown/unknown/smpte2084)',
      { matrix: 'bt2020', wide: { transfer: 'pq', primaries: 'bt2020' } },
    ],
    ['yuv420p(tv, bt709)', {}],
    ['yuv420p(tv, smpte170m/bt470bg/smpte170m)', {}],
    ['yuv420p(progressive)', { matrix: 'bt709' }],
    ['yuv420p', { matrix: 'bt709' }],
  ])('reads the colors of %s', (format, colors) => {
    const line = `Stream #0:0(und): Video: hevc (Main 10) (hev1 / 0x31766568), ${format}, 1920x1080, 25 fps`;
    expect(parse(`Input #0\n  ${line}\n`).video?.colors).toEqual(colors);
  });

  it('does not count cover art as video', () => {
    expect(parse(song)).toEqual({
      durationMs: 200_040,
      audio: { index: 0, codec: 'mp3' },
      video: undefined,
    });
  });

  it('finds nothing in an error', () => {
    expect(parse('file:x.mp4: Invalid data found when processing input')).toEqual({
      durationMs: undefined,
      audio: undefined,
      video: undefined,
    });
  });

  it.each([
    ['a title', '    title           : Duration: 00:00:01.00'],
    ['a title like a stream', '    title           : Stream #0:0: Video: h264, 64x64'],
    ['a tag with a line break in its name', '    x\n  Stream #0:0: Video: h264 <0000> 64x64 : y'],
    ['a tag like the end of the description', '    x\nStream mapping:\nOutput #0, null : y'],
  ])('does not take %s for a fact', (_, line) => {
    const text = phone.replace('  Metadata:\n', `  Metadata:\n${line}\n`);
    expect(parse(text)).toEqual(parse(phone));
  });

  it('believes no duration if a tag pretends to be one', () => {
    const tag = '    x\n  Duration: 00:00:01.00, start: 0.000000 : y\n';
    expect(parse(phone.replace('  Metadata:\n', `  Metadata:\n${tag}`)).durationMs).toBeUndefined();
    expect(parse(`${phone}  Chapters:\n${tag}`).durationMs).toBeUndefined();
  });

  it('takes no language for a stream', () => {
    const fields = phone.replace('(mp4a / 0x6134706D), ', `(mp4a / 0x6134706D)${separator}`);
    const text = fields.replace('[0x1](und)', '[0x1](a): Video: b)');
    expect(parseProbe(text, separator).audio).toEqual({
      index: 0,
      codec: 'aac',
    });
  });

  it.each([
    ['matroska,webm', undefined],
    ['mov,mp4,m4a,3gp,3g2,mj2', undefined],
    ['mpegts', 3_723_500],
  ])('knows whether the duration of late %s may count from zero', (demuxer, durationMs) => {
    expect(parse(phone.replace('start: 0.000000', 'start: 50400.0'), demuxer).durationMs).toBe(durationMs);
  });
});
