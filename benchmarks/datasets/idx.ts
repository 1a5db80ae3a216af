import type { DataFile } from "./dataFile.js";
import type { ImageSet } from "../../pipelines/train/index.js";

const UNSIGNED_BYTE = 0x08;

/**
 * Reads a pair of IDX files as MNIST has them: a header of big-endian numbers (type, rank, one
 * size per axis), then the bytes.
 *
 * @throws Error naming the file when a header is wrong, bytes are missing, or the two disagree
 * @see https://yann.lecun.com/exdb/mnist (file formats)
 */
export function readIdx(imageFile: DataFile, labelFile: DataFile, classes: number) {
  const images = readArray(imageFile, 3);
  const labels = readArray(labelFile, 1);
  const [count = 0, height = 0, width = 0] = images.shape;
  if (labels.shape[0] !== count) {
    throw new Error(
      `${imageFile.path} holds ${String(count)} images, but ${labelFile.path} ${String(labels.shape[0])} labels`,
    );
  }
  const set: ImageSet = {
    count,
    images: images.data,
    labels: checked(labels.data, labelFile, classes),
  };
  return { set, shape: [height, width, 1] };
}

function readArray({ path, bytes }: DataFile, rank: number): { shape: number[]; data: Uint8Array } {
  const headerBytes = 4 + 4 * rank;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headerBytes || view.getUint16(0) !== 0) {
    throw new Error(`${path} is not an IDX file`);
  }
  const [type, foundRank] = [view.getUint8(2), view.getUint8(3)];
  if (type !== UNSIGNED_BYTE || foundRank !== rank) {
    throw new Error(
      `${path} must hold unsigned bytes (type 8) of rank ${String(rank)}, got type ${String(type)} of rank ${String(foundRank)}`,
    );
  }
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const size = shape.reduce((a, b) => a * b, 1);
  const data = bytes.subarray(headerBytes);
  if (data.length !== size) {
    throw new Error(
      `${path} is truncated or has bytes left over: [${shape.join()}] needs ${String(size)} bytes, got ${String(data.length)}`,
    );
  }
  return { shape, data };
}

/** Labels, after checking that each names a class. */
export function checked(labels: Uint8Array, { path }: DataFile, classes: number): Uint8Array {
  const wrong = labels.find((label) => label >= classes);
  if (wrong !== undefined) {
    throw new Error(
      `${path} has label ${String(wrong)}; labels go from 0 to ${String(classes - 1)}`,
    );
  }
  return labels;
}
