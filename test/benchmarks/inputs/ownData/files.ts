// Files as other programs write them.
import { mkdtemp } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { PNG } from "pngjs";

export const temporary = (): Promise<string> => mkdtemp(join(os.tmpdir(), "quantbench-own-"));

/** An array as numpy.save writes it, version 1.0. */
export function npy(descr: string, shape: readonly number[], elements: Uint8Array): Uint8Array {
  const tuple = shape.length === 1 ? `${String(shape[0])},` : shape.join(", ");
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const padded = text.padEnd(64 * Math.ceil((11 + text.length) / 64) - 11, " ") + "\n";
  const head = Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, 0, 0]);
  head.writeUInt16LE(padded.length, 8);
  return Buffer.concat([head, Buffer.from(padded, "latin1"), elements]);
}

export const float32Bytes = (values: readonly number[]): Uint8Array =>
  new Uint8Array(Float32Array.from(values).buffer);
export const int64Bytes = (values: readonly number[]): Uint8Array =>
  new Uint8Array(BigInt64Array.from(values, BigInt).buffer);

/** A PNG file of one colour. */
export function png(
  width: number,
  height: number,
  [red, green, blue]: readonly [number, number, number],
): Buffer {
  const image = new PNG({ width, height });
  for (let i = 0; i < width * height; i++) image.data.set([red, green, blue, 255], 4 * i);
  return PNG.sync.write(image);
}
