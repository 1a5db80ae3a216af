import { permutation, randomStream } from "../../engine/index.js";
import { chosenImages, type ImageSet } from "../../train/index.js";

/** Images of a batch by which policies are judged, at most. */
const BATCH = 200;

export interface SplitImages {
  /** What a search trains on. */
  readonly train: ImageSet;
  /** What it judges by: whole batches of one size. */
  readonly heldOut: ImageSet;
  readonly heldOutBatch: number;
}

/**
 * Sets some of the training images apart, chosen at random among those that calibration does not see; at
 * most half of them.
 */
export function splitImages(
  set: ImageSet,
  options: { readonly heldOut: number; readonly calibration: number; readonly seed: number },
): SplitImages {
  const calibration = Math.min(options.calibration, Math.floor(set.count / 2));
  const wanted = Math.min(options.heldOut, Math.floor((set.count - calibration) / 2));
  if (wanted < 2)
    throw new RangeError(`${String(set.count)} training images are too few to hold some out`);
  const heldOutBatch = Math.min(BATCH, wanted);
  const count = wanted - (wanted % heldOutBatch);
  const order = permutation(
    set.count - calibration,
    randomStream(options.seed, "search/heldOut"),
  ).map((index) => index + calibration);
  const train = Uint32Array.from([...Array(calibration).keys(), ...order.subarray(count)]).sort();
  return {
    train: chosenImages(set, train),
    heldOut: chosenImages(set, order.subarray(0, count)),
    heldOutBatch,
  };
}
