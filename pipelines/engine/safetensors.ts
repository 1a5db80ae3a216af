import { createHash } from "node:crypto";
import type { HostTensor, HostTensors } from "./engine.js";

/** How every header that is written here begins: with the SHA-256 of the file, its own digits taken as 0. */
const SEALED = '{"__metadata__":{"sha256":"';
const DIGITS = 64;
const PREFIX_BYTES = 8;

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/**
 * Tensors and text as one file in the safetensors format: the header's length (8 bytes, little
 * endian), a JSON header, the elements. Its metadata has a checksum, which is verified on reading.
 *
 * @see https://github.com/huggingface/safetensors#format
 */
export function encodeSafetensors(
  tensors: HostTensors,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const sha256 = "0".repeat(DIGITS);
  const header: Record<string, unknown> = { __metadata__: { sha256, ...metadata } };
  let offset = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    const end = offset + data.byteLength;
    const code = dtype === "float32" ? "F32" : "I32";
    header[name] = { dtype: code, shape, data_offsets: [offset, end] };
    offset = end;
  }
  // The format wants the elements aligned; spaces are allowed behind the header.
  const headerBytes = padded(ascii(JSON.stringify(header)));
  const file = new Uint8Array(PREFIX_BYTES + headerBytes.length + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes.length), true);
  file.set(headerBytes, PREFIX_BYTES);
  let start = PREFIX_BYTES + headerBytes.length;
  for (const { data } of Object.values(tensors)) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
    start += data.byteLength;
  }
  file.set(ascii(digest(file)), PREFIX_BYTES + SEALED.length);
  return file;
}

/** What a safetensors file holds. */
export interface SafetensorsContent {
  readonly tensors: HostTensors;
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether the file has a checksum, which then is right; files of other programs have none. */
  readonly isSealed: boolean;
}

/**
 * @throws Error when the file is truncated, not as its checksum or its header says, or holds other types
 *   than float32 and int32
 */
export function decodeSafetensors(file: Uint8Array): SafetensorsContent {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headerLength = file.length >= PREFIX_BYTES ? Number(view.getBigUint64(0, true)) : Infinity;
  const start = PREFIX_BYTES + headerLength;
  if (start > file.length) throw new Error("truncated safetensors file");
  const text = new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(PREFIX_BYTES, start));
  const isSealed = text.startsWith(SEALED);
  if (isSealed) checkDigest(file);
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(text) as Record<string, Header> & {
    __metadata__?: Record<string, string>;
  };
  const { sha256: _, ...rest } = metadata;
  const elements = file.subarray(start);
  checkOffsets(entries, elements.length);
  const tensors = Object.entries(entries).map(
    ([name, entry]) => [name, tensorOf(name, entry, elements)] as const,
  );
  return { tensors: Object.fromEntries(tensors), metadata: rest, isSealed };
}

function checkDigest(file: Uint8Array): void {
  const start = PREFIX_BYTES + SEALED.length;
  const end = start + DIGITS;
  const found = digest(
    Buffer.concat([file.subarray(0, start), ascii("0".repeat(DIGITS)), file.subarray(end)]),
  );
  if (found !== new TextDecoder().decode(file.subarray(start, end)))
    throw new Error("its checksum is wrong");
}

interface Header {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

/** The tensors must cover the elements without holes, as the format says. */
function checkOffsets(entries: Readonly<Record<string, Header>>, bytes: number): void {
  const ranges = Object.entries(entries).map(([name, entry]) => {
    const [from, to] = Array.isArray(entry.data_offsets) ? entry.data_offsets : [];
    if (!isCount(from) || !isCount(to) || from > to)
      throw new Error(`safetensors file: "${name}" has no offsets`);
    return { name, from, to };
  });
  let end = 0;
  for (const { name, from, to } of ranges.toSorted((a, b) => a.from - b.from || a.to - b.to)) {
    if (to > bytes) throw new Error(`truncated safetensors file: "${name}" is cut off`);
    if (from !== end)
      throw new Error(`safetensors file: "${name}" begins at ${String(from)}, not ${String(end)}`);
    end = to;
  }
  if (end !== bytes)
    throw new Error(`safetensors file: ${String(bytes - end)} bytes belong to no tensor`);
}

function tensorOf(
  name: string,
  { dtype, shape, data_offsets: [from, to] }: Header,
  elements: Uint8Array,
): HostTensor {
  if (dtype !== "F32" && dtype !== "I32")
    throw new Error(`safetensors file: "${name}" is ${dtype}, expected F32 or I32`);
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw new Error(`safetensors file: "${name}" has no shape`);
  const bytes = 4 * shape.reduce((a, b) => a * b, 1);
  if (bytes !== to - from)
    throw new Error(
      `safetensors file: "${name}" has ${String(to - from)} bytes, its shape [${shape.join()}] ${String(bytes)}`,
    );
  const { buffer } = new Uint8Array(elements.subarray(from, to)); // a copy, aligned
  return dtype === "F32"
    ? { dtype: "float32", shape, data: new Float32Array(buffer) }
    : { dtype: "int32", shape, data: new Int32Array(buffer) };
}

function padded(text: Uint8Array): Uint8Array {
  const result = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(" ".charCodeAt(0));
  result.set(text);
  return result;
}
