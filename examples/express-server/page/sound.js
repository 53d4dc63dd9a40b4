// Raw samples, as speech models give them, in a form that browsers play.

const headerBytes = 44;
const bytesPerSample = 2;

/** A WAV file of 16-bit samples, whose rate and channels are parameters of the media type. */
export function wavOf(mimeType, samples) {
  const parameter = (name, fallback) =>
    Number(new RegExp(`;\\s*${name}=(\\d+)`, 'i').exec(mimeType)?.[1] ?? fallback);
  const rate = parameter('rate', 24_000);
  const channels = parameter('channels', 1);
  const header = new DataView(new ArrayBuffer(headerBytes));
  const text = (at, letters) => {
    for (const [index, letter] of [...letters].entries()) header.setUint8(at + index, letter.charCodeAt(0));
  };
  text(0, 'RIFF');
  header.setUint32(4, headerBytes - 8 + samples.byteLength, true);
  text(8, 'WAVEfmt ');
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, channels, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, rate * channels * bytesPerSample, true);
  header.setUint16(32, channels * bytesPerSample, true);
  header.setUint16(34, bytesPerSample * 8, true);
  text(36, 'data');
  header.setUint32(40, samples.byteLength, true);
  return new Blob([header, samples], { type: 'audio/wav' });
}
