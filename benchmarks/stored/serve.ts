import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { extname, join, resolve, sep } from "node:path";
import { sourceOf } from "../../reports/contentPolicy.js";
import { PACKED_CELLS } from "../../results/packedCells.js";
import { RunDirectory } from "../../results/store.js";
import { writeReport } from "./storedRun.js";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".csv": "text/csv; charset=utf-8",
  ".yaml": "text/plain; charset=utf-8",
  ".onnx": "application/octet-stream",
};
/** What is served of a run directory: nothing else that lies there. */
const SERVED = /^(?:report|cells|models)\/|^(?:accuracy|latency)\.csv$|^matrix\.yaml$/;

/** A page reloads when cells were added; the report keeps its filters in the address. */
const RELOADING_SCRIPT =
  'new EventSource("/events").addEventListener("changed", () => location.reload())';
const RELOADING = `<script>${RELOADING_SCRIPT}</script>`;
const NOTHING_YET = `<!doctype html><title>quantbench</title><p>No cell is finished yet; this page reloads.</p>${RELOADING}`;

const LOOK_MS = 1000;
/** Rendering may take this part of the time, so that the run goes on beside it. */
const RENDERING_SHARE = 0.05;

export interface LiveReport {
  readonly address: string;
  readonly close: () => Promise<void>;
}

/**
 * Serves a run's report on this machine alone, and renders it again as cells are finished.
 *
 * @param port 0 for any that is free
 * @throws Error when there is no such directory, or the port is taken
 */
export async function serveReport(path: string, port: number): Promise<LiveReport> {
  const root = await realpath(path);
  const listeners = new Set<ServerResponse>();
  const watch = watchCells(root, () => {
    for (const listener of listeners) listener.write("event: changed\ndata:\n\n");
  });
  await watch.first;
  const server = createServer((request, response) => {
    answer(request, response, { root, listeners }).catch((error: unknown) => {
      send(response, { status: 500, content: (error as Error).message });
    });
  });
  const address = await listen(server, port);
  return {
    address,
    close: async () => {
      await watch.stop();
      for (const listener of listeners) listener.end();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

function listen(server: Server, port: number): Promise<string> {
  return new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(port, "127.0.0.1", () => {
      const bound = server.address();
      done(`http://127.0.0.1:${String(typeof bound === "object" ? bound?.port : port)}/`);
    });
  });
}

/** Renders the report whenever the cells of a run have changed; tells what goes wrong with it. */
function watchCells(root: string, onChange: () => void) {
  let seen = "";
  const stopping = new AbortController();
  const render = async () => {
    const now = await signatureOf(root);
    if (now === seen) return;
    seen = now;
    if (now === "") return;
    await writeReport(new RunDirectory(root));
    onChange();
  };
  const renderOrTell = () =>
    render().catch((error: unknown) => {
      process.stderr.write(`the report was not rendered: ${(error as Error).message}\n`);
    });
  const first = renderOrTell();
  const loop = (async () => {
    await first;
    while (!stopping.signal.aborted) {
      const start = performance.now();
      await renderOrTell();
      const pause = Math.max(LOOK_MS, (performance.now() - start) / RENDERING_SHARE);
      await sleep(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return {
    first,
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}

/** Changes when a cell is added or computed again; empty while there is no run. */
async function signatureOf(root: string): Promise<string> {
  const files = await readdir(join(root, "cells")).catch(() => []);
  const stamp = (file: string) =>
    stat(join(root, file)).then(
      ({ mtimeMs, size }) => `${file} ${String(mtimeMs)} ${String(size)}`,
      () => undefined,
    );
  const run = await stamp("run.json");
  if (run === undefined) return "";
  const cells = files.filter((file) => file.endsWith(".json")).map((file) => join("cells", file));
  const stamps = await Promise.all([PACKED_CELLS, ...cells.sort()].map(stamp));
  return [run, ...stamps].join("\n");
}

interface Reply {
  readonly status: number;
  readonly content: string | Uint8Array;
  /** Of the file, which says what type it is. */
  readonly ending?: string;
  readonly location?: string;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { root, listeners }: { readonly root: string; readonly listeners: Set<ServerResponse> },
): Promise<void> {
  const refused = refusal(request);
  const path = pathOf(request.url ?? "/");
  if (refused !== undefined) send(response, refused);
  else if (path === "events") subscribe(response, listeners);
  else send(response, await replyTo(root, path));
}

function refusal({ method, headers }: IncomingMessage): Reply | undefined {
  // Another site's name that was pointed at this machine must read nothing.
  if (!/^(?:127\.0\.0\.1|localhost)(?::\d+)?$/.test(headers.host ?? ""))
    return { status: 403, content: "ask for 127.0.0.1 or localhost" };
  return method === "GET" || method === "HEAD" ? undefined : { status: 405, content: "only GET" };
}

async function replyTo(root: string, path: string | undefined): Promise<Reply> {
  if (path === undefined) return { status: 400, content: "no such address" };
  if (["", "report", "report/"].includes(path))
    return { status: 302, content: "", location: "/report/index.html" };
  const file = await servedFile(root, path);
  if (file !== undefined) {
    const content = await readFile(file);
    const ending = extname(file);
    const page = ending === ".html" ? withReloading(content.toString()) : content;
    return { status: 200, content: page, ending };
  }
  return path === "report/index.html"
    ? { status: 200, content: NOTHING_YET, ending: ".html" }
    : { status: 404, content: "no such file" };
}

/** The path of an address without its leading slash; nothing where it is none. */
function pathOf(url: string): string | undefined {
  try {
    return decodeURIComponent(new URL(url, "http://127.0.0.1").pathname).slice(1);
  } catch {
    return undefined;
  }
}

/** A file that is served, wherever links lead; nothing else. */
async function servedFile(root: string, path: string): Promise<string | undefined> {
  if (path.includes("\0") || !SERVED.test(path)) return undefined;
  const file = await realpath(resolve(root, path)).catch(() => undefined);
  if (file === undefined || !file.startsWith(root + sep)) return undefined;
  const inside = file
    .slice(root.length + 1)
    .split(sep)
    .join("/");
  if (!SERVED.test(inside) || TYPES[extname(file)] === undefined) return undefined;
  return (await stat(file)).isFile() ? file : undefined;
}

/** A page that may do one thing more than its policy allows. */
const withReloading = (page: string): string => {
  const html = page
    .replace("script-src ", `script-src ${sourceOf(RELOADING_SCRIPT)} `)
    .replace("default-src 'none'", "$&; connect-src 'self'");
  const end = html.lastIndexOf("</body>");
  return end < 0 ? html + RELOADING : html.slice(0, end) + RELOADING + html.slice(end);
};

function subscribe(response: ServerResponse, listeners: Set<ServerResponse>): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(":\n\n");
  listeners.add(response);
  response.on("close", () => listeners.delete(response));
}

function send(response: ServerResponse, { status, content, ending, location }: Reply): void {
  response.writeHead(status, {
    "content-type": TYPES[ending ?? ".yaml"] ?? "application/octet-stream",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(location !== undefined && { location }),
  });
  response.end(content);
}
