import { readFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { tokensPerPdfPage } from '../../src/core/media-tokens.js';
import { DefaultMediaProcessor } from '../../src/media/default-media-processor.js';

const oddFile = (name: string) => readFileSync(new URL(`../fixtures/odd-files/${name}`, import.meta.url));

const processor = new DefaultMediaProcessor();
afterAll(() => processor.close());

const prepare = (pdf: Buffer | string) => processor.prepare(Buffer.from(pdf as string, 'latin1'));
const pagesOf = async (pdf: Buffer | string) => (await prepare(pdf)).estimatedTokens / tokensPerPdfPage;

/** Objects in a compressed stream. */
function packed(...objects: readonly string[]): string {
  let offset = 0;
  const index = objects.map((object, i) => {
    const entry = `${i + 10} ${offset} `;
    offset += object.length + 1;
    return entry;
  });
  const text = `${index.join('')}${objects.join(' ')}`;
  const data = deflateSync(text).toString('latin1');
  return `9 0 obj <</Type /ObjStm /N ${objects.length} /First ${index.join('').length} /Length ${data.length}>>
stream\n${data}\nendstream endobj\n`;
}

const pdfOf = (...objects: readonly string[]) => `%PDF-1.5\n${objects.join('')}startxref\n0\n%%EOF`;
const object = (text: string) => `1 0 obj ${text} endobj\n`;
const page = '<</Type /Page>>';

describe('pages of a PDF', () => {
  it.each([
    ['ten-pages-1200-bookmarks.pdf', 10],
    ['owner-password-only.pdf', 60],
    ['three-pages-in-object-streams.pdf', 3],
  ])('are counted in %s', async (name, pages) => {
    expect(await pagesOf(oddFile(name))).toBe(pages);
  });

  it.each([
    ['objects', pdfOf(object(page), object(page)), 2],
    ['objects in a compressed stream', pdfOf(packed(page, page, page)), 3],
    ['the root of a compressed tree', pdfOf(packed('<</Type /Pages /Count 1200>>', page)), 1200],
    [
      'the later of two versions',
      pdfOf(...[7, 5].map((count) => object(`<</Type /Pages /Count ${count}>>`)), object(page)),
      5,
    ],
    [
      'the root, not its branches',
      pdfOf(object('<</Type /Pages /Count 9>>'), object('<</Type /Pages /Parent 1 0 R /Count 4>>')),
      9,
    ],
    ['a file for the web', pdfOf(object('<</Linearized 1 /L 9 /N 40 /T 1>>')), 40],
    ['counts that cannot be', pdfOf(object('<</Type /Pages /Count 999999>>'), object(page)), 1],
    ['nothing that tells', pdfOf(), 1],
  ])('are those of %s', async (_, pdf, pages) => {
    expect(await pagesOf(pdf)).toBe(pages);
  });

  it.each([
    ['counts', '<< /Count 3 >>\n'.repeat(200_000)],
    ['compressed streams', packed(page).repeat(100_000)],
    ['a stream that unpacks to 40 MB', packed('0'.repeat(4e7))],
    ['a stream that is not one', object('<</Type /ObjStm /First 9>> stream\nxx endstream')],
    ['beginnings of a file for the web', '/Linearized '.repeat(2e6)],
    ['digits', `/Encrypt ${'1'.repeat(2e6)} 0 R`],
  ])('are counted within bounds: %s', async (_, content) => {
    await expect(
      prepare(pdfOf(content)).then(
        ({ kind }) => kind,
        (error: { name: string }) => error.name,
      ),
    ).resolves.toMatch(/^(document|MediaError)$/);
  });

  it('are counted in a file that lacks only its last line', async () => {
    const pdf = oddFile('ten-pages-1200-bookmarks.pdf').toString('latin1').replaceAll('%%EOF', '');
    expect(await pagesOf(pdf)).toBe(10);
  });
});

describe('an encrypted PDF', () => {
  it.each(['owner-password-only.pdf', 'owner-password-40-bits.pdf', 'owner-password-128-bits.pdf'])(
    'is taken if only its owner has a password: %s',
    async (name) => {
      const pdf = oddFile(name);
      expect(Buffer.from((await prepare(pdf)).parts[0]?.data ?? [])).toEqual(pdf);
    },
  );

  /** As OpenSSL and an independent program made it. */
  const hash = '8d1efb4f1bdbb651341704c2139de4f6be05d6d4609af56916b21646ed74825c0102030405060708';
  const encrypted = (dictionary: string) => pdfOf(object(page), `trailer <</Encrypt ${dictionary}>>\n`);
  const ofRevision6 = (user: string) => encrypted(`<</Filter /Standard /V 5 /R 6 /U ${user}>>`);

  it('of 256 bits is taken if it opens without a password, however its strings are written', async () => {
    const escaped = Buffer.from(hash, 'hex')
      .toString('latin1')
      .replace(/[\s\S]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
    const spaced = hash.replace(/.{16}/g, '$& ');
    expect(await pagesOf(ofRevision6(`<${spaced}>`))).toBe(1);
    expect(await pagesOf(ofRevision6(`(${escaped})`))).toBe(1);
  });

  /** As qpdf made it, with a password for the user and none for the owner. */
  const userHash =
    'ae700c793d687882958ce411fed797a6364e182dc4cb8c3819d347b9d577c3526d9fd5c2b9fe54cfed6539accc53ac28';
  const ownerHash =
    '57c08f4d2b7e02a2eb6deabf903267643bd971f5201ed5e1865311001c05d012e7a9dea18e3de1aa35675d0069944da1';

  it('is taken if the password of its owner is empty', async () => {
    expect(await pagesOf(ofRevision6(`<${userHash}> /O <${ownerHash}>`))).toBe(1);
    await expect(
      prepare(ofRevision6(`<${userHash}> /O <${ownerHash.replace('57', '58')}>`)),
    ).rejects.toThrow();
  });

  it.each([
    ['of 40 bits', oddFile('user-password-40-bits.pdf')],
    ['of 128 bits', oddFile('user-password-128-bits.pdf')],
    ['of 256 bits', ofRevision6(`<${hash.replace('8d', '8e')}>`)],
    ['for certain readers', encrypted('<</Filter /Adobe.PubSec /V 4>>')],
    ['with no dictionary', encrypted('64 0 R')],
    ['with an empty dictionary', encrypted('<<>>')],
    ['with strings that do not end', encrypted('<</Filter /Standard /V 5 /R 6 /U (((')],
  ])('is refused with a sentence if it does not: %s', async (_, pdf) => {
    await expect(prepare(pdf)).rejects.toMatchObject({
      reason: 'unsupported',
      message: expect.stringContaining('Save it without a password'),
    });
  });
});

describe('a PDF that is made to do harm', () => {
  const flate = (text: string) => deflateSync(text, { level: 9 }).toString('latin1');
  const stream = (first: number, data: string) =>
    `9 0 obj <</Type /ObjStm /First ${first}>>\nstream\n${data}\nendstream endobj\n`;

  it('has no part of it read twice because its index says so', async () => {
    const root = '<</Type /Pages /Count 7>>';
    const index = `1 0 2 ${15e6} `.repeat(5000);
    const unpacked = `${index}${root}${' '.repeat(15e6)}`;
    expect(await pagesOf(pdfOf(stream(index.length, flate(unpacked))))).toBe(7);
  });

  it('is unpacked up to a limit, of which what fails takes its part', async () => {
    const bomb = stream(0, flate(' '.repeat(2 ** 24 + 1)));
    const root = packed('<</Type /Pages /Count 7>>', page);
    expect(await pagesOf(pdfOf(root, bomb))).toBe(7);
    // Nothing is left for it, so the beginning of the file has to do.
    const linearized = object('<</Linearized 1 /L 9 /N 40 /T 1>>');
    expect(await pagesOf(pdfOf(linearized, bomb, root))).toBe(40);
  });

  it('leaves time for other work', async () => {
    await prepare(pdfOf());
    let [turns, isDone] = [0, false];
    const turn = () => {
      turns += 1;
      if (!isDone) setImmediate(turn);
    };
    setImmediate(turn);
    await prepare(pdfOf('endobj'.repeat(5e6)));
    isDone = true;
    expect(turns).toBeGreaterThan(100);
  });
});
