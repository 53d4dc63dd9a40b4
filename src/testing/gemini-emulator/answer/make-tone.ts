const samplesPerSecond = 24_000;
const bytesPerSample = 2;

/** A sine tone as a WAV file: 24 kHz, mono, 16 bits. */
export function makeTone(durationMs: number, hertz: number): Buffer {
  const samples = Math.round((durationMs / 1000) * samplesPerSecond);
  const data = Buffer.alloc(samples * bytesPerSample);
  for (let index = 0; index < samples; index++) {
    const level = Math.sin((2 * Math.PI * hertz * index) / samplesPerSecond);
    data.writeInt16LE(Math.round(level * 8000), index * bytesPerSample);
  }
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + data.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  // PCM, one channel.
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(samplesPerSecond, 24);
  header.writeUInt32LE(samplesPerSecond * bytesPerSample, 28);
  header.writeUInt16LE(bytesPerSample, 32);
  header.writeUInt16LE(bytesPerSample * 8, 34);
  header.write('data', 36);
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}
