import { z } from "zod";
import { fraction } from "./fraction.js";

/** A tensor that is quantized, and how. */
export const siteSchema = z.strictObject({
  id: z.string(),
  role: z.enum(["weight", "activation"]),
  bitWidth: z.number().int(),
  /** Bits of each output channel, where the algorithm chose them. */
  channelBits: z.array(z.number().int()).optional(),
  /** Symmetry, sign, granularity, scale and levels in words. */
  scheme: z.string(),
});

export type SiteResult = z.infer<typeof siteSchema>;

/** How values lie on the grid that they are rounded to. */
const histogramSchema = z.strictObject({
  /** In integers of the grid where it is uniform, else in real units. */
  from: z.number(),
  to: z.number(),
  /** First and last of the integers, or the levels of a codebook. */
  levels: z.array(z.number()).min(2).readonly(),
  uniform: z.boolean(),
  /** Bytes in base64, one for each bin of equal width; 255 is the fullest. */
  counts: z.base64().min(4).max(1024),
});
export type LevelHistogram = z.infer<typeof histogramSchema>;

/** What quantization does to a tensor, on some test images. */
export const siteStatisticsSchema = z.strictObject({
  id: z.string(),
  /** Smallest and largest value before quantization. */
  low: z.number(),
  high: z.number(),
  /** Share of values beyond the outermost levels. */
  clipped: fraction,
  /** Signal-to-quantization-noise ratio in decibel; null where quantization changes nothing. */
  sqnr: z.number().nullable(),
  /** Before quantization; absent in results of earlier versions. */
  histogram: histogramSchema.optional(),
  /** Of activations: share of values on another level in the deployed network. */
  differing: fraction.optional(),
  /** Those of them that the simulation had on the border between both levels. */
  ties: fraction.optional(),
  /** Of activations: the largest such distance, in steps. */
  largestSteps: z.number().nonnegative().optional(),
  /** The same in the backend's own integer arithmetic. */
  integersDiffering: fraction.optional(),
  integersLargestSteps: z.number().nonnegative().optional(),
});
export type SiteStatistics = z.infer<typeof siteStatisticsSchema>;

const partingsSchema = z.strictObject({
  byTies: z.number().int().nonnegative(),
  otherwise: z.number().int().nonnegative(),
});

/** Quantized network and runtime side by side; what is optional is absent in results of earlier versions. */
export const inspectionSchema = z.strictObject({
  images: z.number().int().nonnegative(),
  /** Every site, in the order of the network. */
  sites: z.array(siteStatisticsSchema),
  /** Images that the deployed network computes otherwise, by what the first site is like that differs. */
  partings: partingsSchema.optional(),
  /** The same in the backend's own integer arithmetic. */
  integersPartings: partingsSchema.optional(),
  /** Whether what was looked at computes the deployed network's logits, to the bit. */
  isDeployedGraph: z.boolean().optional(),
});
