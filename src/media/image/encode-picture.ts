import type { Metadata, Sharp } from 'sharp';
import { fitInside } from '../frame/encode-frame.js';
import { loadSharp } from '../frame/sharp-module.js';
import type { ImageSettings } from './image-settings.js';

/** A page of a picture that is opened anew for each use. */
export interface OpenPage {
  readonly open: () => Sharp;
  readonly metadata: Metadata;
  /** How many channels are colors, if more follow that are no transparency. */
  readonly colorChannels?: number | undefined;
  /** Whether transparency is in the range of video, where 235 means opaque, as in AVIF. Decodes the picture. */
  readonly hasVideoAlpha: () => Promise<boolean>;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

export function uprightSize({ height: whole, orientation = 1, pageHeight, width }: Metadata): Size {
  const height = pageHeight ?? whole;
  return orientation >= 5 ? { width: height, height: width } : { width, height };
}

/**
 * @param area a part of the upright picture
 */
export async function toJpeg(
  page: OpenPage,
  { maxSide, quality }: Pick<ImageSettings, 'maxSide' | 'quality'>,
  area?: Size & { readonly left: number; readonly top: number },
): Promise<Uint8Array> {
  // Explicit, because `inside` rounds the short side of a panorama to nothing.
  const size = { ...fitInside(area ?? uprightSize(page.metadata), maxSide), fit: 'fill' as const };
  const picture = page.open().autoOrient();
  if (area) picture.extract(area);
  const { colorChannels, metadata } = page;
  const more = metadata.channels - (colorChannels ?? metadata.channels);
  // Pixels are kept as they are for the moment; each channel is scaled for itself.
  if (more > 1)
    return (await joinColors(() => picture.clone().resize(size), size)).jpeg({ quality }).toBuffer();
  if (more === 1) picture.removeAlpha();
  else if (await page.hasVideoAlpha()) return onWhite(picture.resize(size), quality);
  else if (metadata.hasAlpha) picture.flatten({ background: '#ffffff' });
  // sharp 0.35 takes pictures of 16 bits with a profile to Display P3, and leaves them there.
  if (/16$/.test(metadata.space ?? '')) picture.pipelineColorspace('srgb');
  return picture.resize(size).toColorspace('srgb').jpeg({ quality }).toBuffer();
}

/** The first three channels of a picture with many. */
async function joinColors(open: () => Sharp, { width, height }: Size): Promise<Sharp> {
  const sharp = await loadSharp();
  const raw = { width, height, channels: 1 as const };
  const [red, green, blue] = await Promise.all(
    ([0, 1, 2] as const).map((n) => open().extractChannel(n).raw().toBuffer()),
  );
  return sharp(red, { raw })
    .joinChannel([green ?? '', blue ?? ''], { raw })
    .toColorspace('srgb');
}

/** Transparency that reaches from 16 to 235, on white. */
async function onWhite(picture: Sharp, quality: number): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const { data, info } = await picture.toColorspace('srgb').raw().toBuffer({ resolveWithObject: true });
  for (let at = 3; at < data.length; at += 4)
    data[at] = Math.max(0, Math.min(255, (((data[at] ?? 0) - 16) * 255) / 219));
  const { width, height } = info;
  return sharp(data, { raw: { width, height, channels: 4 } })
    .flatten({ background: '#ffffff' })
    .jpeg({ quality })
    .toBuffer();
}
