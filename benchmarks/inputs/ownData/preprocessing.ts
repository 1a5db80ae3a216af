import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { z } from "zod";
import { unknownName } from "../../lookup.js";
import type { Image, Region } from "../../datasets/index.js";

/** Of a side, in pixels: more than any network takes. */
const side = z.number().int().positive().max(4096);
const size = z.union([side, z.tuple([side, side])]);

/** What happens to an image before the network sees it. */
export const preprocessingSchema = z.strictObject({
  resize: size
    .optional()
    .describe("[height, width], or the shorter side's new length; image files only"),
  crop: size.optional().describe("the middle of the resized image: a side or [height, width]"),
  channels: z
    .enum(["rgb", "bgr", "gray"])
    .optional()
    .describe("of image files; rgb unless said otherwise"),
  mean: z.array(z.number()).optional().describe("of pixels from 0 to 1, for each channel"),
  deviation: z
    .array(z.number().positive())
    .optional()
    .describe("networks see (pixel / 255 - mean) / deviation"),
  layout: z
    .enum(["NHWC", "NCHW"])
    .optional()
    .describe("order of the axes in .npy and .npz files; told from the shape unless given"),
  flip: z.boolean().optional().describe("whether a mirrored image still shows its class"),
  classes: z
    .array(z.string())
    .optional()
    .describe("folders in the order of the network's outputs; alphabetical unless given"),
});
export type Preprocessing = z.infer<typeof preprocessingSchema>;

/** [height, width] that images have afterwards, where the preprocessing alone decides it. */
export function finalSize({ resize, crop }: Preprocessing): readonly [number, number] | undefined {
  if (crop !== undefined) return typeof crop === "number" ? [crop, crop] : crop;
  return Array.isArray(resize) ? resize : undefined;
}

/** The part of an image that ends up in the result, in its own pixels. */
export function regionOf(
  { width, height }: Image,
  preprocessing: Preprocessing,
  [rows, columns]: readonly [number, number],
): Region {
  const { resize, crop } = preprocessing;
  if (crop === undefined) return { left: 0, top: 0, width, height };
  // Pixels of the image for each pixel of the resized one.
  const shorter = Math.min(width, height);
  const [down, across] =
    resize === undefined
      ? [1, 1]
      : typeof resize === "number"
        ? [shorter / resize, shorter / resize]
        : [height / resize[0], width / resize[1]];
  const [partHeight, partWidth] = [
    Math.min(height, rows * down),
    Math.min(width, columns * across),
  ];
  return {
    left: (width - partWidth) / 2,
    top: (height - partHeight) / 2,
    width: partWidth,
    height: partHeight,
  };
}

function parsed(path: string, text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws Error naming the file and the key that is wrong */
export async function readPreprocessing(path: string): Promise<Preprocessing> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new Error(`cannot read ${path}: ${(error as Error).message}`, { cause: error });
  });
  const result = preprocessingSchema.safeParse(parsed(path, text) ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue?.code === "unrecognized_keys")
    throw new Error(
      `${path}: ${unknownName("key", issue.keys[0] ?? "", Object.keys(preprocessingSchema.shape))}`,
    );
  throw new Error(`${path}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
}
