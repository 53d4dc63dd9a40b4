import { readFileSync } from 'node:fs';

/** The format of SQLite's log: https://sqlite.org/fileformat2.html#walformat */
const headerBytes = 32;
const frameHeaderBytes = 24;
const saltOffset = 16;
const magics = [0x377f0682, 0x377f0683];

/**
 * Whether a log holds writes that SQLite drops without a word, because they or their beginning are damaged.
 *
 * @param alone Runs a function while no process writes.
 * @param countFrames The number of frames that SQLite reads.
 */
export function lostWrites(
  path: string,
  alone: (read: () => Buffer) => Buffer,
  countFrames: () => number,
): boolean {
  const log = alone(() => readLog(path));
  if (log.length === 0) return false;
  const read = countFrames();
  // SQLite could not tell, since another process is at work.
  if (read < 0) return false;
  // Another process has begun the log anew, so what was read no longer tells.
  if (!readLog(path).subarray(0, headerBytes).equals(log.subarray(0, headerBytes))) return false;
  return hasUnreadWrites(log, read);
}

function readLog(path: string): Buffer {
  try {
    // Unlike the file itself, the log carries no locks that closing it would release.
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

function hasUnreadWrites(log: Buffer, framesRead: number): boolean {
  if (log.length < headerBytes || !isHeader(log)) return true;
  const frameBytes = frameHeaderBytes + log.readUInt32BE(8);
  if ((log.length - headerBytes) % frameBytes !== 0) return true;
  const salts = [log.readUInt32BE(saltOffset), log.readUInt32BE(saltOffset + 4)];
  for (let at = headerBytes + framesRead * frameBytes; at < log.length; at += frameBytes) {
    const frameSalts = [log.readUInt32BE(at + 8), log.readUInt32BE(at + 12)];
    // Frames of an earlier use of the log have both salts different; damage is unlikely to change both.
    const isOfThisUse = frameSalts.some((salt, index) => salt === salts[index]);
    if (isOfThisUse || frameSalts.every((salt) => salt === 0)) return true;
  }
  return false;
}

/** Checks the magic number and the checksum of the header. */
function isHeader(log: Buffer): boolean {
  const magic = log.readUInt32BE(0);
  if (!magics.includes(magic)) return false;
  const word = (at: number) => (magic === magics[0] ? log.readUInt32LE(at) : log.readUInt32BE(at));
  let first = 0;
  let second = 0;
  for (let at = 0; at < 24; at += 8) {
    first = (first + word(at) + second) >>> 0;
    second = (second + word(at + 4) + first) >>> 0;
  }
  return first === log.readUInt32BE(24) && second === log.readUInt32BE(28);
}
