import { z } from "zod";
import { ENGINE_NAMES, LOWERING_CHOICES } from "../../pipelines/engine/index.js";
import { cellConfigSchema } from "../../results/schema.js";
import { ownDataSchema } from "../inputs/index.js";

const text = z.string().max(500);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
/** Names become those of files. */
const fileName = z.string().regex(/^[\w.+-]{1,100}$/);

/** One cell of a run, or the float training that cells wait for. */
export const queuedJobSchema = z.strictObject({
  kind: z.enum(["pretrain", "cell"]),
  /** The program that may compute it. */
  code: text,
  /** Of the cell: the hash of its configuration. Of a float training: of one of the cells that need it. */
  cellId: hash,
  config: cellConfigSchema.refine(
    ({ model, algorithm, backend }) =>
      [model.name, algorithm.name, backend.name].every((name) => fileName.safeParse(name).success),
    "a name that no file can have",
  ),
  /** What it costs, in the unit of plans. */
  cost: z.number().nonnegative(),
});
export type JobData = z.infer<typeof queuedJobSchema>;

export interface QueuedJob {
  readonly id: string;
  readonly data: JobData;
  /** 1 runs first. */
  readonly priority: number;
  /** The job that must end first. */
  readonly after?: string;
}

/** A run, as workers find it. */
export const announcementSchema = z.strictObject({
  name: text,
  title: text,
  code: text,
  engine: z.enum(ENGINE_NAMES),
  lowering: z.enum(LOWERING_CHOICES),
  /** What the engine must be to compute the run's cells. */
  engineIdentity: z.strictObject({
    name: text,
    version: z.union([z.number(), text]),
    lowering: text.optional(),
  }),
  dataset: z.union([text, ownDataSchema]),
  datasetChecksum: text,
  /** Tells stores apart. */
  store: text,
  cells: z.number().int().nonnegative(),
  /** Of all cells, in the unit of plans. */
  cost: z.number().nonnegative(),
});
export type Announcement = z.infer<typeof announcementSchema>;

/** A worker as it says every few seconds. */
export const heartbeatSchema = z.strictObject({
  host: text,
  cores: z.number().int(),
  cpu: text,
  running: z.array(z.strictObject({ queue: text, label: text, stage: text })),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;
