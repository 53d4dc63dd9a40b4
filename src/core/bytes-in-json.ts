/**
 * A copy whose JSON has no bytes, which `JSON.stringify` would write as one number each, and no path of this
 * machine. `data` stays where it is.
 */
export function withoutBytesInJson<Holder extends { readonly data: Uint8Array }>(holder: Holder): Holder {
  return Object.defineProperty({ ...holder }, 'toJSON', {
    value(this: Holder & { readonly path?: string | undefined }): object {
      const { data: _, path: __, ...rest } = this;
      return rest;
    },
  });
}
