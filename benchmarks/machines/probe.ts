// A process that finds out whether this machine can compute the cells of a run; the worker goes on meanwhile.
import { engineIdentity, loadEngine } from "../../pipelines/engine/index.js";
import { canonicalHash } from "../../results/canonicalHash.js";
import { loadDataset } from "../inputs/index.js";
import { loadPlugins } from "../plugins/index.js";
import type { Announcement } from "./schema.js";

export interface ProbeRequest {
  readonly announcement: Announcement;
  readonly dataDirectory: string;
}
export interface ProbeReply {
  /** Why this machine cannot compute them. */
  readonly refusal?: string;
}

process.once("message", (request: ProbeRequest) => {
  refusalOf(request)
    .catch((error: unknown) => (error as Error).message)
    .then((refusal) => {
      process.send?.({ ...(refusal !== undefined && { refusal }) } satisfies ProbeReply, () => {
        process.disconnect();
      });
    }, exitWith);
});

const exitWith = (error: unknown): never => {
  throw error;
};

async function refusalOf({
  announcement,
  dataDirectory,
}: ProbeRequest): Promise<string | undefined> {
  await loadPlugins(process.argv.slice(2));
  const { engine: name, lowering, engineIdentity: wanted, dataset, datasetChecksum } = announcement;
  const here = engineIdentity(await loadEngine(name, lowering));
  if (canonicalHash(here) !== canonicalHash(wanted))
    return `it is computed by ${JSON.stringify(wanted)}, and here is ${JSON.stringify(here)}`;
  const { checksum, name: title } = await loadDataset(dataset, dataDirectory, {});
  return checksum === datasetChecksum
    ? undefined
    : `its data set "${title}" has other files than the one here`;
}
