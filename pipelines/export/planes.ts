import { codeAt, packPlanes, TOP_BITS, unpackPlanes } from "../../algorithms/search/nestedCodes.js";
import { decodeSafetensors, encodeSafetensors, type HostTensors } from "../engine/index.js";
import { type FrozenNetwork, isCodebook } from "../freeze/index.js";

const ENDING = " planes";
/** Planes are filled up to whole words. */
const WORD = 32;

/**
 * One file for all widths of a network whose codes are nested: the codes of its weights as planes of one
 * bit each (int32 words, the sign's plane first), and beside them the values that widths have for themselves.
 *
 * @param frozen by bits of weights; those of TOP_BITS are stored
 * @param values all trained tensors; kernels, which the planes stand for, are left out
 * @throws RangeError when the first planes of a width are not its codes
 */
export function encodePlanes(
  frozen: ReadonlyMap<number, FrozenNetwork>,
  values: HostTensors,
): Uint8Array {
  const top = frozen.get(TOP_BITS);
  if (top === undefined) throw new RangeError(`planes need codes of ${String(TOP_BITS)} bits`);
  const sites = top.sites.filter(({ role }) => role === "weight");
  const planes = sites.map(({ id }): [string, HostTensors[string]] => {
    const packed = packPlanes(codesOf(top, id));
    const words = Math.ceil((packed[0]?.length ?? 0) / (WORD / 8));
    const bytes = new Uint8Array(TOP_BITS * words * (WORD / 8));
    packed.forEach((plane, i) => {
      bytes.set(plane, (i * bytes.length) / TOP_BITS);
    });
    const data = new Int32Array(bytes.buffer);
    return [`${id}${ENDING}`, { dtype: "int32", shape: [TOP_BITS, words], data }];
  });
  const kernels = new Set(sites.map(({ id }) => id));
  const others = Object.entries(values).filter(([name]) => !kernels.has(name));
  const file = encodeSafetensors(Object.fromEntries([...planes, ...others]), {
    sizes: JSON.stringify(sites.map(({ id }) => [id, codesOf(top, id).length])),
  });
  for (const [bits, network] of frozen) check(network, decodePlanes(file, bits), bits);
  return file;
}

/** The codes that a file of planes holds for a width, by site. */
export function decodePlanes(file: Uint8Array, bits: number): ReadonlyMap<string, Int32Array> {
  const { tensors, metadata } = decodeSafetensors(file);
  const sizes = JSON.parse(metadata["sizes"] ?? "[]") as [string, number][];
  return new Map(
    sizes.map(([id, count]) => {
      const tensor = tensors[`${id}${ENDING}`];
      if (!(tensor?.data instanceof Int32Array)) throw new Error(`there are no planes of ${id}`);
      const { buffer, byteOffset, byteLength } = tensor.data;
      const bytes = byteLength / TOP_BITS;
      const planes = Array.from(
        { length: bits },
        (_, i) => new Uint8Array(buffer, byteOffset + i * bytes, bytes),
      );
      return [id, unpackPlanes(planes, count)];
    }),
  );
}

/** The integers of a kernel; a codebook's levels are counted from its first one. */
function codesOf({ weights, sites }: FrozenNetwork, id: string): Int32Array {
  const weight = weights.get(id);
  const bits = sites.find((site) => site.id === id)?.scheme.bitWidth;
  if (weight === undefined || bits === undefined) throw new Error(`"${id}" was not frozen`);
  const { codes, on } = weight;
  return isCodebook(on) ? codes.map((code) => code - 2 ** (bits - 1)) : Int32Array.from(codes);
}

/** Layers that always have TOP_BITS read all their planes. */
function check(network: FrozenNetwork, read: ReadonlyMap<string, Int32Array>, bits: number): void {
  for (const { id, role, scheme } of network.sites) {
    if (role !== "weight") continue;
    const codes = codesOf(network, id);
    const own = read.get(id) ?? new Int32Array();
    const wanted = scheme.bitWidth === bits ? codes : codes.map((code) => codeAt(code, bits));
    const wrong = wanted.findIndex((code, i) => code !== own[i]);
    if (wrong >= 0 || own.length !== wanted.length)
      throw new RangeError(
        `code ${String(wrong)} of "${id}" is not nested: ${String(wanted[wrong])} at ${String(bits)} bits, ${String(own[wrong])} by the planes`,
      );
  }
}
