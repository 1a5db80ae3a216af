import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

export interface DataFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Of the unpacked bytes, so that how a file is packed does not matter. */
  readonly sha256: string;
}

/**
 * Reads `directory/name`, or `directory/name.gz` unpacked.
 *
 * @param expected the SHA-256 of the unpacked file, where it is known
 * @throws Error when the file is missing, cannot be unpacked, or differs from what is expected
 */
export async function readDataFile(
  directory: string,
  name: string,
  expected?: string,
): Promise<DataFile> {
  const plain = join(directory, name);
  const { path, packed } = await firstThatExists(plain);
  const bytes = path.endsWith(".gz") ? unpack(path, packed) : packed;
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (expected !== undefined && sha256 !== expected) {
    throw new Error(
      `${path} is corrupted or another version: its SHA-256 (unpacked) is ${sha256}, expected ${expected}`,
    );
  }
  return { path, bytes, sha256 };
}

async function firstThatExists(plain: string): Promise<{ path: string; packed: Uint8Array }> {
  for (const path of [plain, `${plain}.gz`]) {
    try {
      return { path, packed: await readFile(path) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  throw new Error(`missing data file: neither ${plain} nor ${plain}.gz exists`);
}

function unpack(path: string, packed: Uint8Array): Uint8Array {
  try {
    return gunzipSync(packed);
  } catch (error) {
    throw new Error(`${path} cannot be unpacked; it is truncated or corrupted`, { cause: error });
  }
}

export function combinedChecksum(files: readonly DataFile[]): string {
  return createHash("sha256")
    .update(files.map((file) => file.sha256).join())
    .digest("hex");
}
