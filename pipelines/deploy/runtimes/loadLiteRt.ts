import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { runInThisContext } from "node:vm";
import type * as LiteRt from "@litertjs/core";

const require = createRequire(import.meta.url);
// The build for relaxed SIMD is faster, but its results depend on the processor.
const WASM = join(
  dirname(require.resolve("@litertjs/core/package.json")),
  "wasm",
  "litert_wasm_compat_internal.js",
);

/** What LiteRT calls an error, which its calls do not: they resolve with buffers that nobody wrote. */
const COMPLAINT = /^ERROR: /;
const complaints: string[] = [];

let loading: Promise<typeof LiteRt> | undefined;

/** The library, which a process can load once only, for all of its models. */
export function loadLiteRt(): Promise<typeof LiteRt> {
  loading ??= load();
  return loading;
}

/** It is made for web workers, whose globals it expects: its process gets them. */
async function load(): Promise<typeof LiteRt> {
  Object.assign(globalThis, {
    self: globalThis,
    ...(!("navigator" in globalThis) && { navigator: { hardwareConcurrency: 1 } }),
    require,
    __dirname: dirname(WASM),
    __filename: WASM,
    importScripts: (file: string) =>
      runInThisContext(readFileSync(file, "utf8"), { filename: file }) as unknown,
  });
  listen();
  const loaded = await import("@litertjs/core");
  await loaded.loadLiteRt(WASM);
  return loaded;
}

/** Keeps what is printed as an error. */
function listen(): void {
  const { stderr } = process;
  const write = stderr.write.bind(stderr);
  const listening = (...args: Parameters<typeof write>): boolean => {
    for (const line of args[0].toString().split("\n"))
      if (COMPLAINT.test(line)) complaints.push(line.replace(COMPLAINT, ""));
    return write(...args);
  };
  stderr.write = listening as typeof write;
}

/** @throws Error with what LiteRT complained about since it was asked last */
export function failOnComplaints(): void {
  const told = complaints.splice(0);
  if (told.length > 0) throw new Error(told.join("; "));
}
