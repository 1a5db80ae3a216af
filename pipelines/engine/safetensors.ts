import type { HostTensor, HostTensors } from "./engine.js";

/**
 * Tensors and text as one file in the safetensors format: the header's length (8 bytes, little
 * endian), a JSON header, the elements.
 *
 * @see https://github.com/huggingface/safetensors#format
 */
export function encodeSafetensors(
  tensors: HostTensors,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    const end = offset + data.byteLength;
    const code = dtype === "float32" ? "F32" : "I32";
    header[name] = { dtype: code, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(header);
  // The format wants the elements aligned; spaces are allowed behind the header.
  const headerBytes = padded(new TextEncoder().encode(text));
  const file = new Uint8Array(8 + headerBytes.length + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes.length), true);
  file.set(headerBytes, 8);
  let start = 8 + headerBytes.length;
  for (const { data } of Object.values(tensors)) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
    start += data.byteLength;
  }
  return file;
}

interface Header {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** @throws Error when the file is truncated or holds other types than float32 and int32 */
export function decodeSafetensors(file: Uint8Array): {
  tensors: HostTensors;
  metadata: Readonly<Record<string, string>>;
} {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headerLength = file.length >= 8 ? Number(view.getBigUint64(0, true)) : Infinity;
  if (8 + headerLength > file.length) throw new Error("truncated safetensors file");
  const text = new TextDecoder().decode(file.subarray(8, 8 + headerLength));
  const { __metadata__, ...entries } = JSON.parse(text) as Record<string, Header> & {
    __metadata__?: Record<string, string>;
  };
  const tensors: Record<string, HostTensor> = {};
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(entries)) {
    const [start, end] = data_offsets.map((offset) => 8 + headerLength + offset) as [
      number,
      number,
    ];
    if (end > file.length) throw new Error(`truncated safetensors file: "${name}" is cut off`);
    const { buffer: bytes } = new Uint8Array(file.subarray(start, end)); // a copy, aligned
    if (dtype === "F32") tensors[name] = { dtype: "float32", shape, data: new Float32Array(bytes) };
    else if (dtype === "I32")
      tensors[name] = { dtype: "int32", shape, data: new Int32Array(bytes) };
    else throw new Error(`safetensors file: "${name}" is ${dtype}, expected F32 or I32`);
  }
  return { tensors, metadata: __metadata__ ?? {} };
}

function padded(text: Uint8Array): Uint8Array {
  const result = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(" ".charCodeAt(0));
  result.set(text);
  return result;
}
