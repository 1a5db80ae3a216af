import type { LoaderName, LoadOptions } from "./loaders.js";

/** What a runtime's process is asked, one thing after the other. */
export type RuntimeRequest =
  | {
      readonly type: "load";
      readonly loader: LoaderName;
      readonly model: Uint8Array;
      readonly options: LoadOptions;
    }
  | { readonly type: "infer"; readonly images: Float32Array; readonly batch: number }
  | {
      readonly type: "time";
      /** Milliseconds to go on for, after a quarter of it that does not count. */
      readonly milliseconds: number;
      readonly images: Float32Array;
    };

export type RuntimeAnswer =
  | { readonly type: "loaded" }
  /** `milliseconds` are those of the inference alone, `peakBytes` what loading and running took. */
  | {
      readonly type: "logits";
      readonly logits: Float32Array;
      readonly milliseconds: number;
      readonly peakBytes: number;
    }
  | { readonly type: "times"; readonly milliseconds: readonly number[] }
  | { readonly type: "failed"; readonly message: string };
