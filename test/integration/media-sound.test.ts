import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';
import { availableFfmpegs, ffmpeg } from '../support/media-fixtures.js';

const ffmpegs = [...availableFfmpegs()];

/** Tones at the formants of a vowel, in syllables and pauses as speech has them. */
const speech =
  "aevalsrc='0.25*(0.55*sin(2*PI*140*t)+0.3*sin(2*PI*700*t)+0.2*sin(2*PI*1220*t)+0.1*sin(2*PI*2600*t))*pow(max(0,sin(2*PI*2*t)),2)*gt(mod(t,3),0.8)':s=16000";
const chord = "aevalsrc='0.1*(sin(2*PI*262*t)+sin(2*PI*330*t)+sin(2*PI*392*t))':s=44100";
/** A minute of quiet hiss in which somebody says a few words. */
const wordsInHiss = `${speech},volume='if(between(t,31,34),1,0)':eval=frame[words];anoisesrc=a=0.001:r=16000[hiss];[words][hiss]amix=inputs=2:duration=first`;

describe.skipIf(ffmpegs.length === 0 && !process.env.CI)("a clip's sound", () => {
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sound-test-'));
  });

  afterAll(() => rm(directory, { recursive: true }));

  function makeClip(name: string, sound: string, seconds: number): string {
    const path = join(directory, name);
    const length = ['-t', String(seconds)];
    const pictures = ['-f', 'lavfi', ...length, '-i', 'testsrc=size=160x90:rate=10'];
    ffmpeg(...pictures, '-f', 'lavfi', ...length, '-i', sound, '-preset', 'ultrafast', '-c:a', 'aac', path);
    return path;
  }

  async function isHeard(path: string, ffmpegPath: string): Promise<boolean> {
    await using processor = new DefaultMediaProcessor({ frames: 2, ffmpegPath });
    const { parts } = await processor.prepare(path);
    return parts.some((part) => part.mimeType.startsWith('audio/'));
  }

  it.each([
    { what: 'nothing', sound: 'anullsrc=r=16000:cl=mono', seconds: 5, heard: false },
    { what: 'hiss at -60 dB', sound: 'anoisesrc=a=0.001:r=16000', seconds: 5, heard: false },
    { what: 'hiss at -50 dB', sound: 'anoisesrc=a=0.00316:r=16000', seconds: 5, heard: false },
    { what: 'hum of the mains', sound: 'sine=f=50:r=16000,volume=-30dB', seconds: 5, heard: false },
    { what: 'speech', sound: speech, seconds: 5, heard: true },
    { what: 'a word', sound: speech, seconds: 1.4, heard: true },
    { what: 'quiet speech', sound: `${speech},volume=-20dB`, seconds: 5, heard: true },
    { what: 'a few words in a minute of hiss', sound: wordsInHiss, seconds: 60, heard: true },
    { what: 'music', sound: chord, seconds: 5, heard: true },
    { what: 'quiet music', sound: `${chord},volume=-20dB`, seconds: 5, heard: true },
  ])('goes along: $heard, when it is $what', async ({ what, sound, seconds, heard }) => {
    const path = makeClip(`${what}.mp4`, sound, seconds);
    for (const [, ffmpegPath] of ffmpegs) expect(await isHeard(path, ffmpegPath)).toBe(heard);
  });

  it('of a recording goes along at any loudness', async () => {
    const path = join(directory, 'quiet.m4a');
    ffmpeg('-f', 'lavfi', '-t', '5', '-i', `${speech},volume=-36dB`, '-c:a', 'aac', path);
    await using processor = new DefaultMediaProcessor();
    const { parts } = await processor.prepare(path);
    expect(parts.map((part) => part.mimeType)).toEqual(['audio/mp3']);
  });
});
