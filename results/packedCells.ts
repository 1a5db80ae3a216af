import { createHash } from "node:crypto";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { z } from "zod";
import { cellResultSchema, type CellResult } from "./schema.js";

/** What the file is called, in the place of the folder of cells. */
export const PACKED_CELLS = "cells.jsonl.br";

/** Unpacked; ten thousand cells of a small network. A small file could claim to hold any amount. */
const MAX_BYTES = 2 ** 28;
/** Cells repeat what others say: the window reaches over hundreds of them. */
const COMPRESSION = {
  [constants.BROTLI_PARAM_QUALITY]: 9,
  [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
};

/** The first line: what the others are, and their SHA-256. */
const headSchema = z.strictObject({
  format: z.literal("quantbench cells"),
  version: z.literal(1),
  cells: z.number().int().nonnegative(),
  sha256: z.string(),
});

const sha256 = (text: Uint8Array): string => createHash("sha256").update(text).digest("hex");

/**
 * Results in one small file: a line that says what follows, then a line of JSON for each cell,
 * compressed as one (Brotli, RFC 7932).
 *
 * @throws RangeError when they are too many for a file that is read again
 */
export function packCells(results: readonly CellResult[]): Uint8Array {
  const lines = Buffer.from(results.map((result) => `${JSON.stringify(result)}\n`).join(""));
  if (lines.length > MAX_BYTES / 2)
    throw new RangeError(
      `${String(results.length)} cells are ${String(lines.length)} bytes; one file holds ${String(MAX_BYTES / 2)}`,
    );
  const head: z.infer<typeof headSchema> = {
    ...{ format: "quantbench cells", version: 1 },
    ...{ cells: results.length, sha256: sha256(lines) },
  };
  const content = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), lines]);
  return brotliCompressSync(content, {
    params: { ...COMPRESSION, [constants.BROTLI_PARAM_SIZE_HINT]: content.length },
  });
}

/**
 * The results that `packCells` wrote.
 *
 * @throws Error saying what is wrong: the file, its checksum, or which cell and field
 */
export function unpackCells(file: Uint8Array): CellResult[] {
  const content = decompressed(file);
  const end = content.indexOf("\n");
  const head = headSchema.safeParse(
    parsed(content.subarray(0, Math.max(0, end)), "its first line"),
  );
  if (!head.success) throw new Error("its first line is not that of a file of cells");
  const lines = content.subarray(end + 1);
  if (sha256(lines) !== head.data.sha256) throw new Error("its checksum is wrong");
  const cells: CellResult[] = [];
  for (let start = 0; start < lines.length;) {
    const next = lines.indexOf("\n", start);
    const line = lines.subarray(start, next < 0 ? undefined : next);
    cells.push(cellOf(line, `cell ${String(cells.length + 1)}`));
    start += line.length + 1;
  }
  if (cells.length !== head.data.cells)
    throw new Error(`it has ${String(cells.length)} cells, not ${String(head.data.cells)}`);
  if (new Set(cells.map(({ id }) => id)).size < cells.length)
    throw new Error("it has a cell more than once");
  return cells;
}

function decompressed(file: Uint8Array): Buffer {
  try {
    return brotliDecompressSync(file, { maxOutputLength: MAX_BYTES });
  } catch (error) {
    const tooLarge = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    throw new Error(tooLarge ? `it holds more than ${String(MAX_BYTES)} bytes` : "it is damaged", {
      cause: error,
    });
  }
}

function parsed(text: Buffer, what: string): unknown {
  try {
    return JSON.parse(text.toString());
  } catch (error) {
    throw new Error(`${what} is not JSON`, { cause: error });
  }
}

function cellOf(line: Buffer, what: string): CellResult {
  const result = cellResultSchema.safeParse(parsed(line, what));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`${what}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
}
