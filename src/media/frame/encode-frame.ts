import type { MediaSettings } from '../media-options.js';
import type { RgbFrame } from './ppm.js';
import { loadSharp } from './sharp-module.js';

/** How a decoded frame has to be turned to be upright, and its shape then. */
export interface FrameShape {
  /** Clockwise, applied first. */
  readonly rotation: 0 | 90 | 180 | 270;
  /** Mirrored left to right, after the rotation. */
  readonly flip: boolean;
  /** Upright size in square pixels. */
  readonly width: number;
  readonly height: number;
}

/** A decoded frame as the JPEG that is sent. */
export async function encodeFrame(
  frame: RgbFrame,
  shape: FrameShape | undefined,
  settings: Pick<MediaSettings, 'maxSide' | 'quality'>,
): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const { width, height } = fitInside(shape ?? frame, settings.maxSide);
  const raw = { width: frame.width, height: frame.height, channels: 3 as const };
  const picture = sharp(frame.data, { raw });
  if (shape?.rotation) picture.rotate(shape.rotation);
  if (shape?.flip) picture.flop();
  const turned = (shape?.rotation ?? 0) % 180 !== 0;
  const hasSize = turned
    ? width === frame.height && height === frame.width
    : width === frame.width && height === frame.height;
  if (!hasSize) picture.resize({ width, height, fit: 'fill' });
  return picture.jpeg({ quality: settings.quality }).toBuffer();
}

/** The size that fits a square of `maxSide`, in the same proportions and never enlarged. */
export function fitInside(
  size: { width: number; height: number },
  maxSide: number,
): { width: number; height: number } {
  const scale = Math.min(1, maxSide / Math.max(size.width, size.height));
  return {
    width: Math.max(1, Math.round(size.width * scale)),
    height: Math.max(1, Math.round(size.height * scale)),
  };
}
