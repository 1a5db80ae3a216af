import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** The version of an installed package, read without loading it. */
export function installedVersion(name: string): string | undefined {
  try {
    const { version } = require(`${name}/package.json`) as { readonly version: string };
    return version;
  } catch {
    return undefined;
  }
}

/** The first of these packages that is installed. */
export function installedPackage(names: readonly string[]): string | undefined {
  return names.find((name) => installedVersion(name) !== undefined);
}
