import { randomUUID } from 'node:crypto';
import { MediaError } from '../../core/errors.js';

const million = 1e6;

/** Bounds the pixels of all pictures of one request together. */
export class PixelBudget {
  /** Different for each. */
  readonly id = randomUUID();
  readonly #most: number;
  #left: number;

  constructor(most: number) {
    this.#most = most;
    this.#left = most;
  }

  /**
   * To be called before a picture is decoded.
   *
   * @throws MediaError `too-large` if no more so many pixels are left
   */
  take(name: string, pixels: number): void {
    if (pixels > this.#left) {
      throw new MediaError(
        'too-large',
        `"${name}" has ${inMillions(pixels)} million pixels, and ${inMillions(this.#left)} of the ${inMillions(this.#most)} million are left that the pictures of one request may have together. Send fewer pictures or smaller ones at a time, or raise maxRequestPixels.`,
      );
    }
    this.#left -= pixels;
  }
}

const inMillions = (pixels: number) => Math.round((pixels / million) * 10) / 10;
