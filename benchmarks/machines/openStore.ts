import { DirectoryStore } from "./directoryStore.js";
import { S3Store } from "./s3Store.js";
import type { Store } from "./store.js";

/** @throws Error saying what is accepted */
export function openStore(location: string): Store {
  if (location.startsWith("s3://")) return new S3Store(location);
  if (/^[a-z][\w+.-]*:\/\//i.test(location))
    throw new Error(`--store ${location}: it must be a directory or s3://BUCKET/PREFIX`);
  return new DirectoryStore(location);
}
