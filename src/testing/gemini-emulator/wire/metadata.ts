/** What Gemini says about an answer beside its parts. */

/** A part of the answer's text, in bytes of UTF-8. `startIndex` is absent at the beginning. */
export interface WireSegment {
  readonly startIndex?: number | undefined;
  readonly endIndex: number;
  readonly text: string;
}

export interface WireGroundingChunk {
  readonly web?: { readonly uri: string; readonly title: string; readonly domain?: string };
  readonly maps?: {
    readonly uri: string;
    readonly title: string;
    readonly text?: string;
    readonly placeId?: string;
  };
  readonly retrievedContext?: {
    readonly title: string;
    readonly text?: string;
    readonly uri?: string;
    readonly fileSearchStore?: string;
    readonly pageNumber?: number;
  };
  readonly image?: {
    readonly sourceUri: string;
    readonly imageUri: string;
    readonly title: string;
    readonly domain?: string;
  };
}

export interface WireGroundingMetadata {
  readonly groundingChunks?: readonly WireGroundingChunk[] | undefined;
  readonly groundingSupports?:
    | readonly {
        readonly segment: WireSegment;
        readonly groundingChunkIndices: readonly number[];
        readonly confidenceScores?: readonly number[];
      }[]
    | undefined;
  readonly webSearchQueries?: readonly string[] | undefined;
  readonly searchEntryPoint?: { readonly renderedContent: string } | undefined;
  readonly googleMapsWidgetContextToken?: string | undefined;
}

export interface WireCitation {
  /** In bytes of UTF-8. */
  readonly startIndex?: number;
  readonly endIndex?: number;
  readonly uri?: string;
  readonly title?: string;
  readonly license?: string;
}

/** `citationSources` in the Gemini API; `citations` in Vertex AI and in the client's types. */
export interface WireCitationMetadata {
  readonly citationSources?: readonly WireCitation[];
  readonly citations?: readonly WireCitation[];
}

export interface WireUrlContextMetadata {
  readonly urlMetadata: readonly { readonly retrievedUrl: string; readonly urlRetrievalStatus: string }[];
}
