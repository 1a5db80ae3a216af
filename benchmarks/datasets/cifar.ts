import type { DataFile } from "./dataFile.js";
import type { ImageSet } from "../../pipelines/train/index.js";
import { checked } from "./idx.js";

const SIDE = 32;
const CHANNELS = 3;
const PIXELS = SIDE * SIDE;
export const CIFAR_SHAPE = [SIDE, SIDE, CHANNELS] as const;

/**
 * Reads CIFAR binary files: records of label bytes followed by the red, green and blue plane.
 *
 * @param labelBytes 1 for CIFAR-10; 2 for CIFAR-100 (coarse, then fine; the fine one is used)
 * @throws Error naming the file when it is empty or ends within a record
 * @see https://www.cs.toronto.edu/~kriz/cifar.html (binary version)
 */
export function readCifar(
  files: readonly DataFile[],
  labelBytes: 1 | 2,
  classes: number,
): ImageSet {
  const record = labelBytes + PIXELS * CHANNELS;
  const counts = files.map(({ path, bytes }) => {
    if (bytes.length === 0 || bytes.length % record !== 0) {
      throw new Error(
        `${path} is truncated or not a CIFAR file: ${String(bytes.length)} bytes are not a multiple of ${String(record)}`,
      );
    }
    // Bytes of pixels would be read as labels.
    const other = 3 - labelBytes + PIXELS * CHANNELS;
    if (bytes.length % other === 0)
      throw new Error(
        `${path} may be CIFAR-10 as well as CIFAR-100: its ${String(bytes.length)} bytes are whole records of both; leave out a record`,
      );
    return bytes.length / record;
  });
  const count = counts.reduce((a, b) => a + b, 0);
  const images = new Uint8Array(count * PIXELS * CHANNELS);
  const labels = new Uint8Array(count);
  let index = 0;
  for (const file of files) {
    for (let start = 0; start < file.bytes.length; start += record, index++) {
      labels[index] = file.bytes[start + labelBytes - 1] ?? 0;
      const planes = file.bytes.subarray(start + labelBytes, start + record);
      const target = index * PIXELS * CHANNELS;
      for (let pixel = 0; pixel < PIXELS; pixel++) {
        for (let channel = 0; channel < CHANNELS; channel++) {
          images[target + pixel * CHANNELS + channel] = planes[channel * PIXELS + pixel] ?? 0;
        }
      }
    }
    checked(labels, file, classes);
  }
  return { count, images, labels };
}
