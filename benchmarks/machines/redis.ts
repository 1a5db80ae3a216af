import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";

/** Every key begins so: an ACL can hold a user to them. */
export const PREFIX = "quantbench";

const CONNECT_MS = 10_000;
/** How long a server may refuse connections that is about to start. */
const START_MS = 5000;
const START_AGAIN_MS = 250;
/** What a server says, or the system for it, that stops or starts. */
const MAY_START = /ECONNREFUSED|ECONNRESET|LOADING/;

/** A server as users may see it: without password. */
export function shownUrl(text: string): string {
  const url = parseUrl(text);
  if (url.password !== "") url.password = "***";
  return url.href;
}

function parseUrl(text: string): URL {
  const accepted = "it must be redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], or rediss:// for TLS";
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // The text may hold a password, so that it is not repeated.
  if (url === undefined || !["redis:", "rediss:"].includes(url.protocol) || url.hostname === "")
    throw new Error(`--queue: ${accepted}`);
  if (!/^\/?\d*$/.test(url.pathname))
    throw new Error(`--queue: after the host there may be the number of a database; ${accepted}`);
  return url;
}

/**
 * Connects to a Redis or Valkey server, which may be about to start. Once connected, the client waits for a
 * server that went away.
 *
 * @param onNote told when the server goes and comes back
 * @throws Error when it does not answer, or is not set up to keep jobs
 */
export async function connect(text: string, onNote: (text: string) => void): Promise<Redis> {
  const shown = shownUrl(text);
  const password = process.env["QUANTBENCH_QUEUE_PASSWORD"];
  const url = parseUrl(text);
  if (password !== undefined) url.password = password;
  const client = await connectOnceStarted(url, shown);
  let told = false;
  client.on("reconnecting", () => {
    if (!told) onNote(`the queue ${shown} went away; work goes on, and waits for it`);
    told = true;
  });
  client.on("ready", () => {
    if (told) onNote(`the queue ${shown} is back`);
    told = false;
  });
  await warnOfEviction(client, shown, onNote);
  return client;
}

async function connectOnceStarted(url: URL, shown: string): Promise<Redis> {
  const giveUp = performance.now() + START_MS;
  for (;;) {
    try {
      return await connectNow(url);
    } catch (error) {
      const { message } = error as Error;
      if (!MAY_START.test(message) || performance.now() > giveUp)
        throw new Error(`cannot work with the queue ${shown}: ${message}`, { cause: error });
      await sleep(START_AGAIN_MS);
    }
  }
}

async function connectNow(url: URL): Promise<Redis> {
  const client = new Redis(url.href, {
    lazyConnect: true,
    maxRetriesPerRequest: null, // what BullMQ asks for
    retryStrategy: (times) => Math.min(200 * times, 2000),
    connectTimeout: CONNECT_MS,
  });
  let last = "it does not answer";
  client.on("error", ({ message }) => {
    last = message;
  });
  const timeout = setTimeout(() => {
    client.disconnect();
  }, CONNECT_MS);
  try {
    await client.connect();
    await client.ping();
    return client;
  } catch (error) {
    client.disconnect();
    const { message } = error as Error;
    throw message === "Connection is closed." ? new Error(last, { cause: error }) : error;
  } finally {
    clearTimeout(timeout);
  }
}

async function warnOfEviction(client: Redis, shown: string, onNote: (text: string) => void) {
  const info = await client.info("memory");
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
  if (policy !== undefined && policy !== "noeviction")
    onNote(
      `the queue ${shown} may throw jobs away: its maxmemory-policy is ${policy} and should be noeviction`,
    );
}
