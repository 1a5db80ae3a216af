import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { QuantScheme } from "../../../backends/scheme.js";

type Shape = readonly number[];

/** Cases of one kind of tensor; a field holds those of all cases, one after the other. */
export interface VectorGroup {
  readonly role: "weight" | "activation";
  readonly scheme: QuantScheme;
  readonly nonNegative: boolean;
  readonly cases: number;
  readonly fields: Readonly<Record<string, { readonly shape: Shape; readonly data: Float32Array }>>;
}

const folder = new URL("./", import.meta.url);
const sums = new Map(
  readFileSync(new URL("SHA256SUMS", folder), "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split("  "))
    .map(([sum = "", file = ""]) => [file, sum]),
);

/** Header and floats of a file; see README.md for its form. */
function read(name: string): { header: unknown; take: (count: number) => Float32Array } {
  const file = `${name}.gz`;
  const packed = readFileSync(new URL(file, folder));
  const sum = createHash("sha256").update(packed).digest("hex");
  if (sum !== sums.get(file)) throw new Error(`${file} is not what SHA256SUMS says, but ${sum}`);
  const content = gunzipSync(packed);
  const start = 4 + content.readUInt32LE(0);
  const planes = content.subarray(start);
  const count = planes.length / 4;
  const bytes = new DataView(new ArrayBuffer(planes.length));
  for (const [i, byte] of planes.entries())
    bytes.setUint8((i % count) * 4 + Math.floor(i / count), byte);
  let place = 0;
  return {
    header: JSON.parse(content.subarray(4, start).toString()),
    take: (size) => Float32Array.from({ length: size }, () => bytes.getFloat32(4 * place++, true)),
  };
}

const sizeOf = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/** Tensors that are quantized and the gradients of the outputs, by their index. */
export interface VectorInputs {
  readonly shape: Shape;
  readonly x: Float32Array;
  readonly dy: Float32Array;
}

export function readInputs(): { readonly signed: VectorInputs; readonly rectified: VectorInputs } {
  const { header, take } = read("inputs");
  const { fields } = header as { fields: [string, number[]][] };
  const [x, dy, rectifiedX, rectifiedDy] = fields.map(([, shape]) => take(sizeOf(shape)));
  const shape = fields[0]?.[1].slice(1);
  if (!x || !dy || !rectifiedX || !rectifiedDy || !shape) throw new Error("inputs.gz lacks fields");
  return { signed: { shape, x, dy }, rectified: { shape, x: rectifiedX, dy: rectifiedDy } };
}

export function readVectors(name: string): VectorGroup[] {
  const { header, take } = read(name);
  const { groups } = header as {
    groups: (Omit<VectorGroup, "fields"> & { fields: Record<string, number[]> })[];
  };
  return groups.map(({ fields, ...group }) => ({
    ...group,
    fields: Object.fromEntries(
      Object.entries(fields).map(([field, shape]) => [
        field,
        { shape, data: take(group.cases * sizeOf(shape)) },
      ]),
    ),
  }));
}
