import type { BlockedOptions } from "./imageForms.js";

/**
 * How steps become graphs: with standard operators, which every onnxruntime has, or with images in
 * the blocked layout of onnxruntime's own convolutions. Bits depend on it.
 */
export type Lowering =
  { readonly name: "standard" } | ({ readonly name: "blocked" } & BlockedOptions);

/** What a user may ask for; "auto" is blocked where its kernels are there and compute right. */
export const LOWERING_CHOICES = ["auto", "standard", "blocked"] as const;
export type LoweringChoice = (typeof LOWERING_CHOICES)[number];

/** Names everything about a lowering that decides bits, its choice first. */
export function describeLowering(lowering: Lowering): string {
  if (lowering.name === "standard") return lowering.name;
  const { block, chunkBytes } = lowering;
  return `blocked: ${String(block)} channels, chunks of ${String(chunkBytes / 1000)} kB`;
}

/** The choice that a description begins with. */
export function choiceOf(description: string | undefined): LoweringChoice {
  return LOWERING_CHOICES.find((choice) => description?.startsWith(choice)) ?? "standard";
}

export const STANDARD: Lowering = { name: "standard" };
