/** The frames of an animated picture, as its file is laid out. */
export interface Animation {
  readonly width: number;
  readonly height: number;
  /** Where each frame ends in the file. */
  readonly ends: readonly number[];
  /** Whether something is seen of what lies behind the frames although none is marked as transparent. */
  readonly showsGround: boolean;
}
