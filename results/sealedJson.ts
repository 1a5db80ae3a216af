import { createHash } from "node:crypto";

/** How a file begins that has a checksum: the SHA-256 of its text without this line. */
const SEAL = /^\{\n  "checksum": "([0-9a-f]{64})",\n/;
const OPENING = "{\n";

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A value as JSON with a checksum in its first line, for files that are read again. */
export function sealed(value: object): string {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  return `${OPENING}  "checksum": "${digest(text)}",\n${text.slice(OPENING.length)}`;
}

/**
 * The value of a file, without its checksum. Files of earlier versions have none and are taken as they are.
 *
 * @throws Error naming the file when it is not JSON, or not what was written
 */
export function unsealed(path: string, text: string): unknown {
  const [line, checksum] = SEAL.exec(text) ?? [];
  if (line === undefined) return parse(path, text);
  const content = OPENING + text.slice(line.length);
  if (digest(content) !== checksum)
    throw new Error(
      `${path} is damaged: it is not what was written, by its checksum; delete it to compute it again`,
    );
  return parse(path, content);
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is not JSON; delete it to compute it again`, { cause: error });
  }
}
