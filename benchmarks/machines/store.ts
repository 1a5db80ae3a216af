import { createHash } from "node:crypto";

/** What is known of a stored object. */
export type StoredObject =
  | {
      readonly bytes: Uint8Array;
      /** Who wrote it: the name of an environment. */ readonly origin: string;
    }
  /** It is there, but not as it was written: it counts as missing and is replaced. */
  | { readonly broken: string };

/**
 * Where machines that work on a run keep what they share. Keys are the paths of files in a run
 * directory. An object is there whole or not at all, with a checksum that reading verifies.
 */
export interface Store {
  /** As users name it; never with credentials. */
  readonly location: string;
  get(key: string): Promise<StoredObject | undefined>;
  /** Writes what is not there yet: of several writers at once one is first, and told so. */
  add(key: string, bytes: Uint8Array, origin: string): Promise<boolean>;
  /** Writes over what is there. */
  replace(key: string, bytes: Uint8Array, origin: string): Promise<void>;
  remove(key: string): Promise<void>;
  /** Names in a folder, in no order. */
  list(folder: string): Promise<string[]>;
  /** Whether it can be reached and written to. */
  check(): Promise<void>;
}

export const checksumOf = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");

/** @throws Error when a key could lead out of the store */
export function checkKey(key: string): string {
  const parts = key.split("/");
  if (parts.some((part) => !/^[\w.+-][\w.+ -]*$/.test(part) || /^\.+$/.test(part)))
    throw new Error(`"${key}" is no name that a store can have`);
  return key;
}

/** Tells stores apart, wherever they are mounted; a bucket has the same name everywhere. */
export async function identityOf(store: Store, fresh: string): Promise<string> {
  if (store.location.startsWith("s3://"))
    return checksumOf(Buffer.from(store.location)).slice(0, 32);
  const key = "store.json";
  await store.add(key, Buffer.from(JSON.stringify({ id: fresh })), "store");
  const found = await store.get(key);
  if (found === undefined || "broken" in found)
    throw new Error(
      `${store.location}: ${key} ${found?.broken ?? "is not there after writing it"}`,
    );
  const { id } = JSON.parse(Buffer.from(found.bytes).toString()) as { id?: unknown };
  if (typeof id !== "string") throw new Error(`${store.location}: ${key} has no id`);
  return id;
}
